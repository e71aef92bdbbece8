; Where a further CPU begins: real mode, in the page below 1 MiB that its start-up interrupt named.
;
; Concepts: smp.c copies this into the page and fills in the data at its end. A CPU that is not the one
; expected, be it late or uninvited, halts before it has touched anything. The number of page-table
; levels is part of the CR4 value given: it can change only here, while paging is off.
;
;     real mode -> protected mode, flat -> is it me? -> CR4, CR3, EFER, CR0 -> long mode -> core
bits 16

%define CR0_PROTECTED 1

section .rodata
align 16
global trampoline_start
global trampoline_data
global trampoline_end
trampoline_start:
    cli
    cld
    mov ax, cs
    mov ds, ax
    xor edi, edi
    mov di, ax
    shl edi, 4                  ; the page's address, from here on
    o32 lgdt [gdt_pointer - trampoline_start]
    mov eax, cr0
    and eax, 0x9fffffff         ; reset leaves caches off (CD, NW)
    or eax, CR0_PROTECTED
    mov cr0, eax
    o32 jmp far [protected_pointer - trampoline_start]

bits 32
protected:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax

    ; Who am I? The x2APIC id where there is one, else the id of leaf 1.
    xor eax, eax
    cpuid
    cmp eax, 0xb
    jb .short_id
    mov eax, 0xb
    xor ecx, ecx
    cpuid
    test ebx, ebx
    jz .short_id
    mov eax, edx
    jmp .have_id
.short_id:
    mov eax, 1
    cpuid
    mov eax, ebx
    shr eax, 24
.have_id:
    ; Claims the data: pairs with smp.c's withdrawal, so that only one of the two succeeds.
    mov ecx, 0xfffffffe         ; SMP_CLAIMED
    lock cmpxchg [edi + expected - trampoline_start], ecx
    jne .park

    mov eax, [edi + cr4_value - trampoline_start]
    mov cr4, eax
    mov eax, [edi + cr3_value - trampoline_start]
    mov cr3, eax
    mov ecx, 0xc0000080         ; IA32_EFER
    mov eax, [edi + efer_value - trampoline_start]
    xor edx, edx
    wrmsr
    mov eax, [edi + cr0_value - trampoline_start]
    mov cr0, eax
    jmp far [edi + long_pointer - trampoline_start]

.park:
    cli
    hlt
    jmp .park

bits 64
long_mode:
    mov edi, edi
    mov rsp, [rdi + stack - trampoline_start]
    mov rax, [rdi + entry - trampoline_start]
    mov rdi, [rdi + index - trampoline_start]
    xor ebp, ebp
    push rbp                    ; as if called
    jmp rax

; struct trampoline_data (smp.c)
align 8
trampoline_data:
gdt:
    dq 0
    dq 0x00cf9b000000ffff       ; 0x08: 32-bit code
    dq 0x00cf93000000ffff       ; 0x10: data
    dq 0x00af9b000000ffff       ; 0x18: 64-bit code
gdt_pointer:
    dw 4 * 8 - 1
    dd gdt - trampoline_start   ; + page
protected_pointer:
    dd protected - trampoline_start ; + page
    dw 0x08
long_pointer:
    dd long_mode - trampoline_start ; + page
    dw 0x18
    align 8
expected: dd 0xffffffff
cr4_value: dd 0
efer_value: dd 0
cr0_value: dd 0
cr3_value: dq 0
stack: dq 0
entry: dq 0
index: dq 0
trampoline_end:
