; Calling firmware on its own stack and page tables, and coming back even if it faults.
bits 64
default rel

section .bss
align 8
saved_stack: resq 1
saved_root: resq 1
global power_in_firmware
power_in_firmware: resd 1

section .text

; void power_call(uint64_t function, uint64_t argument, uint64_t root, uint64_t stack)
; Microsoft's calling convention: the argument in rcx, three zeroes behind it, 32 bytes of home space.
global power_call
power_call:
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
    mov [saved_stack], rsp
    mov rax, cr3
    mov [saved_root], rax
    mov rsp, rcx
    mov dword [power_in_firmware], 1
    mov cr3, rdx
    clts                        ; firmware may use SSE registers
    mov rax, rdi
    mov rcx, rsi
    xor edx, edx
    xor r8d, r8d
    xor r9d, r9d
    sub rsp, 32
    call rax
; Also where an exception in firmware is sent to.
global power_come_back
power_come_back:
    cli
    cld
    mov rsp, [saved_stack]
    mov rax, [saved_root]
    mov cr3, rax
    mov dword [power_in_firmware], 0
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret
