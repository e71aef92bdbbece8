/* A 16550 by polling, at a port or in memory.
 *
 * Concepts: nothing here waits without a limit: a port whose transmitter does not get empty within
 * WAIT_US is given up for the rest of the run. A port that was searched for must prove itself by
 * looping bytes back; one that was named only has to answer. A port in memory cannot be mapped before
 * the core has its own page tables: until then output is held back.
 * Locking: none; log.c has one line at a time written, and a panic interrupts whom it likes. */
#include "x86_64/serial.h"

#include "core/fmt.h"
#include "core/log.h"
#include "core/text.h"
#include "x86_64/acpi.h"
#include "x86_64/clock.h"
#include "x86_64/instructions.h"

#define BAUD_BASE 115200u
#define WAIT_US 500000
#define PROBE_US 50000
#define FIFO_SIZE 16
#define HELD_BACK_MAX 16384

enum serial_register {
    SERIAL_DATA = 0,
    SERIAL_DIVISOR_LOW = 0,
    SERIAL_INTERRUPTS = 1,
    SERIAL_DIVISOR_HIGH = 1,
    SERIAL_FIFO = 2,
    SERIAL_IDENTITY = 2,
    SERIAL_LINE = 3,
    SERIAL_MODEM = 4,
    SERIAL_STATUS = 5,
};

#define LINE_8N1 0x03
#define LINE_DIVISOR 0x80
#define MODEM_READY 0x03
#define MODEM_LOOP 0x10
#define FIFO_ENABLE_AND_CLEAR 0x07
#define IDENTITY_HAS_FIFO 0xc0
#define STATUS_DATA 0x01
#define STATUS_ROOM 0x20
#define STATUS_EMPTY 0x40

enum serial_state {
    SERIAL_NONE,
    SERIAL_WAITING, /* in memory and not mapped yet */
    SERIAL_OPEN,
    SERIAL_DEAD,
};

struct serial_port {
    bool in_memory;
    uint16_t port;
    uint64_t address;         /* physical */
    volatile uint8_t *mapped; /* in memory: its registers, `stride` bytes apart */
    unsigned stride;
    uint32_t baud; /* 0: leave it as it is */
    bool searched; /* nobody named it: it must prove itself */
};

static const uint16_t legacy_ports[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};

static struct {
    enum serial_state state;
    struct serial_port port;
    unsigned fifo_size;
    char name[48];
    bool automatic;
    size_t held_count;
    char held[HELD_BACK_MAX];
} serial = {.name = "none"};

static uint8_t read(const struct serial_port *port, enum serial_register number)
{
    if (!port->in_memory)
        return port_read8((uint16_t)(port->port + (unsigned)number));
    if (port->stride == 4)
        return (uint8_t)((volatile uint32_t *)port->mapped)[number];
    return port->mapped[(unsigned)number * port->stride];
}

static void write(const struct serial_port *port, enum serial_register number, uint8_t value)
{
    if (!port->in_memory)
        port_write8((uint16_t)(port->port + (unsigned)number), value);
    else if (port->stride == 4)
        ((volatile uint32_t *)port->mapped)[number] = value;
    else
        port->mapped[(unsigned)number * port->stride] = value;
}

static bool wait_for(const struct serial_port *port, uint8_t status, uint64_t microseconds)
{
    ticks_t begin = machine_ticks();
    ticks_t limit = clock_ticks(microseconds);
    while ((read(port, SERIAL_STATUS) & status) != status) {
        if (machine_ticks() - begin > limit)
            return false;
        machine_pause();
    }
    return true;
}

/* --- opening ------------------------------------------------------------------------------------- */

static void configure(const struct serial_port *port)
{
    write(port, SERIAL_INTERRUPTS, 0);
    if (port->baud != 0) {
        uint32_t divisor = port->baud < BAUD_BASE ? BAUD_BASE / port->baud : 1;
        write(port, SERIAL_LINE, LINE_8N1 | LINE_DIVISOR);
        write(port, SERIAL_DIVISOR_LOW, (uint8_t)divisor);
        write(port, SERIAL_DIVISOR_HIGH, (uint8_t)(divisor >> 8));
    }
    write(port, SERIAL_LINE, LINE_8N1);
    write(port, SERIAL_FIFO, FIFO_ENABLE_AND_CLEAR);
    write(port, SERIAL_MODEM, MODEM_READY);
}

static bool loops_back(const struct serial_port *port)
{
    static const uint8_t probes[] = {0x5a, 0xa5, 0x00, 0xff};
    bool good = true;
    write(port, SERIAL_MODEM, MODEM_READY | MODEM_LOOP);
    for (unsigned i = 0; i < ARRAY_COUNT(probes) && good; i++) {
        write(port, SERIAL_DATA, probes[i]);
        good = wait_for(port, STATUS_DATA, PROBE_US) && read(port, SERIAL_DATA) == probes[i];
    }
    write(port, SERIAL_FIFO, FIFO_ENABLE_AND_CLEAR);
    write(port, SERIAL_MODEM, MODEM_READY);
    return good;
}

/* Is a 16550 there? A register that never existed reads as all ones. */
static bool probe(const struct serial_port *port)
{
    if (read(port, SERIAL_STATUS) == 0xff && read(port, SERIAL_LINE) == 0xff)
        return false;
    /* What firmware was still sending is not to be cut off. */
    if (port->searched && !wait_for(port, STATUS_EMPTY, PROBE_US))
        return false;
    configure(port);
    return !port->searched || loops_back(port);
}

static void set_name(const struct serial_port *port)
{
    char place[24] = "";
    for (unsigned i = 0; i < ARRAY_COUNT(legacy_ports); i++) {
        if (!port->in_memory && port->port == legacy_ports[i])
            (void)fmt_print(place, sizeof(place), "ttyS%u", i);
    }
    if (place[0] == '\0')
        (void)fmt_print(place, sizeof(place), port->in_memory ? "mmio,0x%llx" : "io,0x%llx",
                        (unsigned long long)(port->in_memory ? port->address : port->port));
    if (port->baud != 0)
        (void)fmt_print(serial.name, sizeof(serial.name), "%s,%u", place, port->baud);
    else
        (void)fmt_print(serial.name, sizeof(serial.name), "%s", place);
}

static bool open_port(const struct serial_port *port)
{
    bool mapped = !port->in_memory || port->mapped != NULL;
    if (mapped && !probe(port))
        return false;
    serial.port = *port;
    serial.state = mapped ? SERIAL_OPEN : SERIAL_WAITING;
    serial.fifo_size = 1;
    if (mapped && (read(port, SERIAL_IDENTITY) & IDENTITY_HAS_FIFO) == IDENTITY_HAS_FIFO)
        serial.fifo_size = FIFO_SIZE;
    set_name(port);
    return true;
}

static bool open_legacy(void)
{
    for (unsigned i = 0; i < ARRAY_COUNT(legacy_ports); i++) {
        struct serial_port port = {.port = legacy_ports[i], .baud = BAUD_BASE, .searched = true};
        if (open_port(&port))
            return true;
    }
    return false;
}

static bool open_described(void)
{
    struct acpi_serial found;
    if (!acpi_find_serial(&found))
        return false;
    struct serial_port port = {
        .in_memory = found.base.space == ACPI_MEMORY,
        .port = (uint16_t)found.base.address,
        .address = found.base.address,
        .stride = found.base.bit_width == 32 || found.base.access_size == 3 ? 4 : 1,
        .baud = found.baud,
        .searched = true,
    };
    return open_port(&port);
}

/* Decimal or 0x hexadecimal; 0 for anything else. */
static uint64_t number(struct text text)
{
    uint64_t value = 0;
    unsigned base = 10;
    if (text_starts(text, "0x") || text_starts(text, "0X")) {
        base = 16;
        text.data += 2;
        text.size -= 2;
    }
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        unsigned digit =
            c >= '0' && c <= '9' ? (unsigned)(c - '0') : ((unsigned)c | 0x20) - 'a' + 10;
        if (digit >= base || value > UINT64_MAX / base - 1)
            return 0;
        value = value * base + digit;
    }
    return value;
}

static bool open_named(struct text spec)
{
    struct serial_port port = {.stride = 1};
    struct text kind = text_cut(&spec, ',');
    if (text_is(kind, "mmio") || text_is(kind, "io")) {
        port.in_memory = text_is(kind, "mmio");
        port.address = number(text_cut(&spec, ','));
        port.port = (uint16_t)port.address;
    } else if (kind.size == 5 && text_starts(kind, "ttyS") && kind.data[4] >= '0' &&
               kind.data[4] <= '3') {
        port.port = legacy_ports[kind.data[4] - '0'];
    } else {
        return false;
    }
    port.baud = spec.size > 0 ? (uint32_t)number(spec) : BAUD_BASE;
    return open_port(&port);
}

bool machine_console_init(const char *spec, const struct boot_info *boot)
{
    acpi_init(boot);
    struct text text = text_of(spec);
    if (text_is(text, "off"))
        return false;
    serial.automatic = text_is(text, "auto");
    return serial.automatic ? open_described() || open_legacy() : open_named(text);
}

void serial_set_services(const struct machine_services *services)
{
    if (serial.state != SERIAL_WAITING)
        return;
    struct serial_port port = serial.port;
    port.mapped = services->map_device(phys(port.address), 8ull * port.stride);
    if ((port.mapped == NULL || !open_port(&port)) && !(serial.automatic && open_legacy())) {
        serial.state = SERIAL_NONE;
        (void)fmt_print(serial.name, sizeof(serial.name), "none");
        return;
    }
    machine_console_write(serial.held, serial.held_count);
    serial.held_count = 0;
}

/* --- writing --------------------------------------------------------------------------------------- */

static void hold_back(const char *bytes, size_t size)
{
    size_t room = HELD_BACK_MAX - serial.held_count;
    size_t count = size < room ? size : room;
    memcpy(serial.held + serial.held_count, bytes, count);
    serial.held_count += count;
}

void machine_console_write(const char *bytes, size_t size_bytes)
{
    if (serial.state == SERIAL_WAITING)
        hold_back(bytes, size_bytes);
    if (serial.state != SERIAL_OPEN)
        return;
    for (size_t i = 0; i < size_bytes; i++) {
        if (i % serial.fifo_size == 0 && !wait_for(&serial.port, STATUS_ROOM, WAIT_US)) {
            serial.state = SERIAL_DEAD;
            return;
        }
        write(&serial.port, SERIAL_DATA, (uint8_t)bytes[i]);
    }
}

void serial_drain(void)
{
    if (serial.state == SERIAL_OPEN)
        (void)wait_for(&serial.port, STATUS_EMPTY, WAIT_US);
}

bool serial_read(uint8_t *byte)
{
    if (serial.state != SERIAL_OPEN || (read(&serial.port, SERIAL_STATUS) & STATUS_DATA) == 0)
        return false;
    *byte = read(&serial.port, SERIAL_DATA);
    return true;
}

const char *serial_name(void)
{
    return serial.name;
}
