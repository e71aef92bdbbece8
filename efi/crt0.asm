; The loader's entry: makes the CPU fit for compiled code, relocates the image, calls loader_main().
; Called as Microsoft's convention says: rcx image handle, rdx system table.

bits 64
default rel

CR0_WP equ 1 << 16
CR4_OSFXSR equ 1 << 9
CR4_OSXMMEXCPT equ 1 << 10

RELA_SIZE equ 24 ; r_offset, r_info, r_addend
R_X86_64_RELATIVE equ 8

extern image_start, relocations, relocations_end, loader_main

section .text
global _start
_start:
    ; Firmware may leave SSE off (U-Boot does), although its calling convention promises it.
    mov rax, cr4
    or rax, CR4_OSFXSR | CR4_OSXMMEXCPT
    mov cr4, rax
    mov rax, cr0
    or rax, CR0_WP
    mov cr0, rax

    push rdi
    push rsi
    push rbx ; aligns the stack

    lea rax, [image_start]
    lea rsi, [relocations]
    lea rdi, [relocations_end]
.next:
    cmp rsi, rdi
    jae .done
    cmp dword [rsi + 8], R_X86_64_RELATIVE ; the linker makes no other kind in a PIE without imports
    jne .bad
    mov r8, [rsi]
    mov r9, [rsi + 16]
    add r9, rax
    mov [rax + r8], r9
    add rsi, RELA_SIZE
    jmp .next

.done:
    mov rdi, rcx
    mov rsi, rdx
    call loader_main
    jmp .return
.bad:
    mov rax, 0x8000000000000001 ; EFI_LOAD_ERROR
.return:
    pop rbx
    pop rsi
    pop rdi
    ret
