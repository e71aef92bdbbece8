; The last instructions of the loader: from firmware's address space into the core's.

bits 64
default rel

IA32_EFER equ 0xc0000080
EFER_NXE equ 1 << 11
; What the core's first tables and first instructions do not expect: global pages would survive the
; load of CR3, PCIDs give its low bits a meaning, protection keys and shadow stacks forbid accesses,
; SMEP and SMAP are switched on again by the core.
CR4_PGE equ 1 << 7
CR4_PCIDE equ 1 << 17
CR4_SMEP equ 1 << 20
CR4_SMAP equ 1 << 21
CR4_PKE equ 1 << 22
CR4_CET equ 1 << 23
CR4_PKS equ 1 << 24
CR4_OFF equ CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE | CR4_CET | CR4_PKS

section .text
global jump_to_core, jump_begin, jump_end

; rdi: struct jump (jump.h)
jump_begin:
jump_to_core:
    cli
    cld
    cmp qword [rdi + 32], 0
    je .no_nx
    mov ecx, IA32_EFER ; before CR3: a set bit 63 faults while NXE is off
    rdmsr
    or eax, EFER_NXE
    wrmsr
.no_nx:
    mov rax, cr4
    and rax, ~CR4_OFF
    mov cr4, rax
    ; Everything out of memory first: struct jump is not mapped by the new tables.
    mov rax, [rdi]
    mov rdx, [rdi + 8]
    mov rsi, [rdi + 24]
    mov rdi, [rdi + 16]
    mov cr3, rax
    mov rsp, rdx
    xor ebp, ebp ; ends backtraces
    jmp rsi
jump_end:
