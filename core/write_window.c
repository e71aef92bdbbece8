/* Opening and closing the write window of this CPU. See write_window.h. */
#include "core/write_window.h"

#include "core/machine.h"

void write_window_open(void)
{
    if (machine_cpu()->write_windows++ == 0)
        machine_write_protect(false);
}

void write_window_close(void)
{
    struct cpu *cpu = machine_cpu();
    ASSERT(cpu->write_windows != 0);
    if (--cpu->write_windows == 0)
        machine_write_protect(true);
}

void write_window_making(void)
{
    struct cpu *cpu = machine_cpu();
    if (cpu->making)
        return;
    cpu->making = true;
    write_window_open();
}

void write_window_made(void)
{
    struct cpu *cpu = machine_cpu();
    if (!cpu->making)
        return;
    cpu->making = false;
    write_window_close();
}

void write_window_check_closed(void)
{
    const struct cpu *cpu = machine_cpu();
    if (cpu->write_windows != 0)
        panic("%u write windows are open on CPU %u where a user's code runs%s", cpu->write_windows,
              cpu->index, cpu->making ? ", one for an object being made" : "");
}
