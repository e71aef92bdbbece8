/* Backtraces by frame pointers, with the symbols that the loader brought along.
 *
 * Concepts: it runs in a broken machine, so every read is checked against the page tables, and every
 * walk has a limit. */
#include "x86_64/backtrace.h"

#include "core/log.h"
#include "core/machine.h"
#include "x86_64/paging.h"

#define BACKTRACE_MAX 32
#define SYMBOL_NAME_MAX 128

/* ELF-64 object file format, "Symbol Table". */
struct elf_symbol {
    uint32_t name;
    uint8_t info;
    uint8_t other;
    uint16_t section;
    uint64_t value;
    uint64_t size;
};

#define ELF_TYPE_NONE 0
#define ELF_TYPE_FUNCTION 2

static struct {
    const struct elf_symbol *table;
    size_t count;
    const char *names;
    size_t names_size;
} symbols;

void backtrace_init(const struct boot_info *boot)
{
    if (boot->symbol_table.size_bytes == 0 || boot->string_table.size_bytes == 0)
        return;
    symbols.table = machine_phys_to_virt(phys(boot->symbol_table.start));
    symbols.count = boot->symbol_table.size_bytes / sizeof(struct elf_symbol);
    symbols.names = machine_phys_to_virt(phys(boot->string_table.start));
    symbols.names_size = boot->string_table.size_bytes;
}

/* Functions, and labels of assembly that are not local. */
static bool is_code(const struct elf_symbol *symbol)
{
    unsigned type = symbol->info & 0xf;
    if (symbol->section == 0 || symbol->section >= 0xff00 || symbol->name >= symbols.names_size)
        return false;
    return type == ELF_TYPE_FUNCTION ||
           (type == ELF_TYPE_NONE && symbols.names[symbol->name] != '.' &&
            symbols.names[symbol->name] != '\0');
}

const char *backtrace_symbol(uint64_t address, uint64_t *offset)
{
    const struct elf_symbol *best = NULL;
    for (size_t i = 0; i < symbols.count; i++) {
        const struct elf_symbol *symbol = &symbols.table[i];
        if (symbol->value > address || !is_code(symbol))
            continue;
        if (best == NULL || symbol->value > best->value ||
            (symbol->value == best->value && (symbol->info & 0xf) == ELF_TYPE_FUNCTION))
            best = symbol;
    }
    if (best == NULL || address - best->value > MIB)
        return NULL;
    *offset = address - best->value;
    return symbols.names + best->name;
}

static void print_call(unsigned number, uint64_t address, bool is_return)
{
    /* A call may be its function's last instruction: look up the call, not what stands behind it. */
    uint64_t offset;
    const char *name = backtrace_symbol(address - is_return, &offset);
    if (name == NULL)
        log_panic_line("  #%u 0x%016llx", number, (unsigned long long)address);
    else
        log_panic_line("  #%u 0x%016llx %.*s+0x%llx", number, (unsigned long long)address,
                       SYMBOL_NAME_MAX, name, (unsigned long long)(offset + is_return));
}

void backtrace_print(uint64_t address, uint64_t frame_pointer)
{
    log_panic_line("backtrace:");
    print_call(0, address, false);
    for (unsigned i = 1; i < BACKTRACE_MAX; i++) {
        uint64_t frame[2]; /* the caller's frame pointer, the return address */
        if (frame_pointer % 8 != 0 || frame_pointer < MACHINE_KERNEL_LOW ||
            !paging_read(frame_pointer, frame, sizeof(frame)) || frame[1] < BOOT_CORE_BASE)
            return;
        print_call(i, frame[1], true);
        if (frame[0] <= frame_pointer)
            return;
        frame_pointer = frame[0];
    }
}

void machine_backtrace(void)
{
    uint64_t here;
    __asm__("leaq 0(%%rip), %0" : "=r"(here));
    backtrace_print(here, (uint64_t)__builtin_frame_address(0));
}
