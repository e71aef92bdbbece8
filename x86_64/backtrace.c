/* Backtraces by frame pointers, with the symbols that the loader brought along.
 *
 * Concepts: it runs in a broken machine, so every read is checked against the page tables, and every
 * walk has a limit. */
#include "x86_64/backtrace.h"

#include "core/log.h"
#include "core/machine.h"
#include "x86_64/access.h"
#include "x86_64/cpu_local.h"
#include "x86_64/paging.h"
#include "x86_64/trap.h"

#define BACKTRACE_MAX 32
/* From the stack pointer at the call of a page fault's handler to where the fault came from. */
#define FAULT_SAVED_RIP 72
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

/* link.ld */
extern const char text_start[], text_end[];

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

static bool is_within(uint64_t address, const void *start, const void *end)
{
    return address >= (uint64_t)start && address < (uint64_t)end;
}

/* Does a near call stand before it (E8, or FF with an operand of 1, 2, 5 or 6 bytes)? */
static bool is_return_address(uint64_t address)
{
    uint8_t code[7];
    if (!is_within(address, text_start, text_end) ||
        !paging_read(address - sizeof(code), code, sizeof(code)))
        return false;
    return code[2] == 0xe8 || code[5] == 0xff || code[4] == 0xff || code[1] == 0xff ||
           code[0] == 0xff;
}

/* Where the code went on that an exception or interrupt interrupted, and its frame pointer; the entry
 * in trap.asm was called back by `frame`. False when it was an ordinary call. */
static bool find_interrupted(const uint64_t frame[2], uint64_t frame_pointer, uint64_t *rip,
                             uint64_t *rbp)
{
    if (is_within(frame[1], fault_entries_start, fault_entries_end)) {
        *rbp = frame[0];
        return paging_read(frame_pointer + 16 + FAULT_SAVED_RIP, rip, sizeof(*rip));
    }
    struct trap_frame trap;
    if (!is_within(frame[1], trap_entries_start, trap_entries_end) ||
        !paging_read(frame_pointer + 16, &trap, sizeof(trap)))
        return false;
    *rip = trap.rip;
    *rbp = trap.rbp;
    return true;
}

/* A run keeps its caller's registers where run_enter_* (access.asm) pushed them. */
static bool find_caller_of_run(const struct cpu_local *local, uint64_t rip, uint64_t *caller,
                               uint64_t *rbp)
{
    uint64_t pushed[9]; /* run, flags, r15 to r12, rbx, rbp, return address */
    if (rip >= MACHINE_KERNEL_LOW && !is_within(rip, kernel_loops_start, kernel_loops_end))
        return false;
    if (!paging_read(local->tss.rsp[0], pushed, sizeof(pushed)))
        return false;
    *rbp = pushed[7];
    *caller = pushed[8];
    return true;
}

void backtrace_print(const struct code_place *place, const struct cpu_local *local)
{
    uint64_t caller;
    uint64_t frame_pointer = place->rbp;
    uint64_t stack_pointer = place->rsp;
    unsigned number = 0;
    log_panic_line("backtrace:");
    print_call(number++, place->rip, false);
    if (stack_pointer % 8 == 0 && stack_pointer >= MACHINE_KERNEL_LOW &&
        paging_read(stack_pointer, &caller, sizeof(caller)) && is_return_address(caller))
        print_call(number++, caller, true);
    while (number < BACKTRACE_MAX) {
        uint64_t frame[2]; /* the caller's frame pointer, the return address */
        uint64_t next, interrupted;
        if (frame_pointer % 8 != 0 || frame_pointer < MACHINE_KERNEL_LOW ||
            !paging_read(frame_pointer, frame, sizeof(frame)) ||
            !is_within(frame[1], text_start, text_end))
            return;
        print_call(number++, frame[1], true);
        next = frame[0];
        if (find_interrupted(frame, frame_pointer, &interrupted, &next)) {
            print_call(number++, interrupted, false);
            if (find_caller_of_run(local, interrupted, &caller, &next))
                print_call(number++, caller, true);
        }
        if (next <= frame_pointer)
            return;
        frame_pointer = next;
    }
}

void machine_backtrace(void)
{
    struct code_place here = {.rbp = (uint64_t)__builtin_frame_address(0)};
    __asm__("leaq 0(%%rip), %0" : "=r"(here.rip));
    backtrace_print(&here, cpu_local());
}
