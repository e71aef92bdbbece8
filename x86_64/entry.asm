; Where the loader jumps to: rdi holds the address of struct boot_info in the direct map, interrupts
; are off, bss is zero. From here on nothing of the loader is needed but its page tables.
bits 64
default rel

extern core_main
extern boot_stack_top

section .text
global core_entry
core_entry:
    cli
    cld
    lea rsp, [boot_stack_top]
    xor ebp, ebp                ; the end of every backtrace
    call core_main
.returned:
    cli
    hlt
    jmp .returned
