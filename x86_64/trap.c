/* What exceptions and interrupts lead to, page faults on their fast way aside (trap.asm). */
#include "x86_64/trap.h"

#include "core/fmt.h"
#include "core/log.h"
#include "core/machine.h"
#include "core/panic.h"
#include "x86_64/access.h"
#include "x86_64/apic.h"
#include "x86_64/backtrace.h"
#include "x86_64/cpu_local.h"
#include "x86_64/descriptors.h"
#include "x86_64/instructions.h"
#include "x86_64/paging.h"
#include "x86_64/power.h"
#include "x86_64/smp.h"
#include "x86_64/timer.h"

#define ERROR_PRESENT 1
#define ERROR_WRITE 2
#define ERROR_USER 4
#define ERROR_RESERVED 8
#define ERROR_FETCH 16
#define CODE_BYTES 16

static enum fault_outcome refuse(uint64_t address, unsigned access)
{
    (void)address;
    (void)access;
    return FAULT_SEGV;
}

enum fault_outcome (*machine_fault_handler)(uint64_t address, unsigned access) = refuse;

unsigned trap_nothing(uint64_t address, unsigned access)
{
    (void)address;
    (void)access;
    return 0;
}

/* Intel SDM vol. 3A, table 6-1; AMD APM vol. 2, 8.2. */
static const char *const names[VECTOR_EXCEPTION_END] = {
    [0] = "divide error",
    [1] = "debug",
    [2] = "non-maskable interrupt",
    [3] = "breakpoint",
    [4] = "overflow",
    [5] = "bound range exceeded",
    [6] = "invalid opcode",
    [7] = "device not available",
    [8] = "double fault",
    [9] = "coprocessor segment overrun",
    [10] = "invalid task state segment",
    [11] = "segment not present",
    [12] = "stack fault",
    [13] = "general protection fault",
    [14] = "page fault",
    [16] = "floating-point error",
    [17] = "alignment check",
    [18] = "machine check",
    [19] = "SIMD floating-point error",
    [20] = "virtualisation exception",
    [21] = "control protection",
    [28] = "hypervisor injection",
    [29] = "VMM communication",
    [30] = "security exception",
};

static const char *name_of(uint64_t vector)
{
    return names[vector] != NULL ? names[vector] : "reserved";
}

/* --- what went wrong, in words --------------------------------------------------------------- */

static void explain_page_fault(char *text, size_t size, const struct trap_frame *frame)
{
    uint64_t error = frame->error;
    const char *what = (error & ERROR_FETCH) != 0   ? "execution of"
                       : (error & ERROR_WRITE) != 0 ? "write to"
                                                    : "read of";
    const char *why = (error & ERROR_RESERVED) != 0  ? "a reserved bit is set in a table"
                      : (error & ERROR_PRESENT) != 0 ? "the page's rights forbid it"
                                                     : "no page is there";
    (void)fmt_print(text, size, "%s 0x%llx by %s, %s", what, (unsigned long long)cr2_read(),
                    (error & ERROR_USER) != 0 ? "ring 3" : "the kernel", why);
}

/* For the others an error code names a descriptor, or is 0. */
static void explain_error(char *text, size_t size, uint64_t error)
{
    static const char *const tables[] = {"GDT", "IDT", "LDT", "IDT"};
    if (error == 0)
        (void)fmt_print(text, size, "no error code");
    else
        (void)fmt_print(text, size, "%s entry 0x%llx%s", tables[error >> 1 & 3],
                        (unsigned long long)(error >> 3 & 0x1fff),
                        (error & 1) != 0 ? ", while delivering an interrupt" : "");
}

static bool is_stack_overflow(const struct trap_frame *frame)
{
    return frame->vector == VECTOR_DOUBLE_FAULT &&
           frame->rsp - cr2_read() + PAGE_SIZE < 3 * PAGE_SIZE;
}

static void explain(char *text, size_t size, const struct trap_frame *frame)
{
    if (frame->vector == VECTOR_PAGE_FAULT)
        explain_page_fault(text, size, frame);
    else if (is_stack_overflow(frame))
        (void)fmt_print(text, size, "the kernel stack overflowed: rsp 0x%llx met its guard page",
                        (unsigned long long)frame->rsp);
    else
        explain_error(text, size, frame->error);
}

static void dump_code(uint64_t rip)
{
    uint8_t code[CODE_BYTES];
    char text[3 * CODE_BYTES + 1] = "";
    size_t length = 0;
    if (!paging_read(rip, code, sizeof(code))) {
        log_panic_line("code: cannot be read");
        return;
    }
    for (unsigned i = 0; i < CODE_BYTES; i++)
        length += fmt_print(text + length, sizeof(text) - length, "%02x ", code[i]);
    log_panic_line("code: %s", text);
}

static void dump_control(void)
{
    log_panic_line("cr0 %016llx cr2 %016llx cr3 %016llx cr4 %016llx efer %llx",
                   (unsigned long long)cr0_read(), (unsigned long long)cr2_read(),
                   (unsigned long long)cr3_read(), (unsigned long long)cr4_read(),
                   (unsigned long long)msr_read(MSR_EFER));
}

static bool is_user(const struct trap_frame *frame)
{
    return (frame->cs & 3) != 0;
}

static void dump(const void *context)
{
    const struct trap_frame *f = context;
    const struct {
        const char *name;
        uint64_t value;
    } registers[] = {{"rax", f->rax}, {"rbx", f->rbx}, {"rcx", f->rcx}, {"rdx", f->rdx},
                     {"rsi", f->rsi}, {"rdi", f->rdi}, {"rbp", f->rbp}, {"rsp", f->rsp},
                     {"r8 ", f->r8},  {"r9 ", f->r9},  {"r10", f->r10}, {"r11", f->r11},
                     {"r12", f->r12}, {"r13", f->r13}, {"r14", f->r14}, {"r15", f->r15}};
    log_panic_line("rip %04llx:%016llx rflags %08llx ss %04llx error %llx",
                   (unsigned long long)f->cs, (unsigned long long)f->rip,
                   (unsigned long long)f->rflags, (unsigned long long)f->ss,
                   (unsigned long long)f->error);
    for (unsigned i = 0; i < ARRAY_COUNT(registers); i += 4)
        log_panic_line("%s %016llx %s %016llx %s %016llx %s %016llx", registers[i].name,
                       (unsigned long long)registers[i].value, registers[i + 1].name,
                       (unsigned long long)registers[i + 1].value, registers[i + 2].name,
                       (unsigned long long)registers[i + 2].value, registers[i + 3].name,
                       (unsigned long long)registers[i + 3].value);
    dump_control();
    if (f->vector == VECTOR_PAGE_FAULT && !is_user(f) && panic_describe_address != NULL)
        panic_describe_address(cr2_read());
    dump_code(f->rip);
    const struct code_place place = {f->rip, f->rbp, f->rsp};
    backtrace_print(&place, cpu_local());
}

[[gnu::noreturn]] static void die(const struct trap_frame *frame)
{
    char why[160];
    uint64_t offset = 0;
    explain(why, sizeof(why), frame);
    const char *where = backtrace_symbol(frame->rip, &offset);
    panic_exception(dump, frame, "unexpected exception %llu (%s) in %s+0x%llx: %s",
                    (unsigned long long)frame->vector, name_of(frame->vector),
                    where != NULL ? where : "unknown code", (unsigned long long)offset, why);
}

void machine_describe_cpu(void)
{
    uint64_t stack_pointer, flags;
    __asm__ volatile("movq %%rsp, %0\n\tpushfq\n\tpopq %1" : "=r"(stack_pointer), "=r"(flags));
    log_panic_line("rsp %016llx rflags %08llx", (unsigned long long)stack_pointer,
                   (unsigned long long)flags);
    dump_control();
    machine_backtrace();
}

/* --- exceptions of a run ------------------------------------------------------------------------ */

static bool in_kernel_loops(uint64_t address)
{
    return address >= (uint64_t)kernel_loops_start && address < (uint64_t)kernel_loops_end;
}

/* Does the frame come from a run's access, or from what it called? A CPU may report a call to a
 * non-canonical address at the call or at its target. */
static bool is_kernel_run(const struct trap_frame *frame)
{
    uint64_t caller;
    return in_kernel_loops(frame->rip) ||
           (frame->rip == frame->rbx && paging_read(frame->rsp, &caller, sizeof(caller)) &&
            in_kernel_loops(caller));
}

static bool is_access(const struct trap_frame *frame)
{
    return (frame->vector == VECTOR_PROTECTION || frame->vector == VECTOR_STACK_FAULT) &&
           frame->error == 0 && !machine_is_canonical(frame->rbx) &&
           (access_in_program(frame->rip) || in_kernel_loops(frame->rip) ||
            frame->rip == frame->rbx);
}

/* Makes the frame return to the end of the run instead of to where it came from. */
static void end_run(struct trap_frame *frame, enum run_end end, uint64_t result)
{
    uint64_t back = cpu_local()->tss.rsp[0];
    struct run *run = *(struct run **)back;
    run->rip = frame->rip;
    run->fault_address = frame->rbx;
    frame->rdi = end;
    frame->rax = result;
    frame->rip = (uint64_t)run_exit;
    frame->cs = KERNEL_CODE;
    frame->rflags = 2;
    frame->rsp = back;
    frame->ss = KERNEL_DATA;
}

static void run_exception(struct trap_frame *frame)
{
    if (!is_access(frame)) {
        end_run(frame, RUN_END_CRASH, frame->vector);
        return;
    }
    unsigned access = ACCESS_NON_CANONICAL | (is_user(frame) ? ACCESS_USER : 0) | access_kind();
    enum fault_outcome outcome = machine_fault_handler(frame->rbx, access);
    end_run(frame, RUN_END_FAULT, outcome == FAULT_RESOLVED ? FAULT_SEGV : outcome);
}

/* Another CPU has made the page writable, and this one's translation was older. The fault has ended
 * it. */
static bool is_outdated(const struct trap_frame *frame)
{
    if (frame->vector != VECTOR_PAGE_FAULT || frame->error != (ERROR_PRESENT | ERROR_WRITE))
        return false;
    entry_t entry = paging_lookup(cr2_read());
    return entry_is_writable(entry) && !entry_is_user(entry);
}

/* --- dispatch ------------------------------------------------------------------------------------ */

static void interrupt(const struct trap_frame *frame)
{
    if (frame->vector == VECTOR_SPURIOUS ||
        (frame->vector >= VECTOR_LEGACY_IRQ && frame->vector < VECTOR_LEGACY_IRQ_END))
        return;
    apic_end_of_interrupt();
    if (frame->vector == VECTOR_TIMER)
        timer_interrupt();
    else if (frame->vector == VECTOR_REQUEST)
        machine_request_handler();
}

void trap_dispatch(struct trap_frame *frame)
{
    if (frame->vector >= VECTOR_EXCEPTION_END)
        interrupt(frame);
    else if (frame->vector == VECTOR_NMI && smp_is_stopping())
        smp_stop_here(frame);
    else if (power_firmware_failed(frame))
        return;
    else if (frame->vector != VECTOR_NMI && frame->vector != VECTOR_DOUBLE_FAULT &&
             frame->vector != VECTOR_MACHINE_CHECK && (is_user(frame) || is_kernel_run(frame)))
        run_exception(frame);
    else if (!is_outdated(frame))
        die(frame);
}
