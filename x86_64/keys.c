/* Keys, by polling: bytes of the serial port, and a PS/2 keyboard as firmware has set it up, which may be
 * a USB keyboard that firmware passes off as one. Which key it is does not matter.
 * Source: IBM PS/2 Technical Reference, "keyboard and auxiliary device controller". */
#include "core/machine.h"
#include "x86_64/instructions.h"
#include "x86_64/serial.h"

#define KEYBOARD_DATA 0x60
#define KEYBOARD_STATUS 0x64
#define STATUS_FULL 0x01
#define STATUS_FROM_MOUSE 0x20
#define STATUS_ABSENT 0xff /* no controller answers */
/* Scan codes of set 1, into which the controller translates: from here on they say that a key was let go
 * (or, 0xe0 and 0xe1, that more follows). */
#define CODE_RELEASED 0x80
/* More than a controller and a FIFO can hold; a device that never gets empty is broken. */
#define BYTES_MAX 256

static bool keyboard_pressed(void)
{
    bool pressed = false;
    for (unsigned i = 0; i < BYTES_MAX; i++) {
        uint8_t status = port_read8(KEYBOARD_STATUS);
        if (status == STATUS_ABSENT || (status & STATUS_FULL) == 0)
            break;
        uint8_t code = port_read8(KEYBOARD_DATA);
        if ((status & STATUS_FROM_MOUSE) == 0 && code < CODE_RELEASED)
            pressed = true;
    }
    return pressed;
}

bool machine_key_pressed(void)
{
    bool pressed = keyboard_pressed();
    uint8_t byte;
    for (unsigned i = 0; i < BYTES_MAX && serial_read(&byte); i++)
        pressed = true;
    return pressed;
}
