; The page below 1 MiB where a further CPU begins, in real mode, and where the first one changes the
; number of page-table levels, which is possible only while paging is off.
;
; Concepts: trampoline.c copies this into the page and fills in the data at its end. A CPU that is not
; the one expected, be it late or uninvited, halts before it has touched anything.
;
;     real mode -> protected mode, flat -> is it me? -+-> CR4, CR3, EFER, CR0 -> long mode -> core
;     long mode -> compatibility mode -> paging off --+
bits 16

%define CR0_PROTECTED 1
%define CR0_PAGING (1 << 31)

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
    ; Claims the data: pairs with the withdrawal in smp.c, so that only one of the two succeeds.
    mov ecx, 0xfffffffe         ; TRAMPOLINE_CLAIMED
    lock cmpxchg [edi + expected - trampoline_start], ecx
    je enter_long_mode
.park:
    cli
    hlt
    jmp .park

enter_long_mode:
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

; The first CPU, no longer in 64-bit code.
paging_off:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov eax, cr0
    and eax, ~CR0_PAGING
    mov cr0, eax
    jmp enter_long_mode

bits 64
; rdi: the page
leave_long_mode:
    lgdt [rdi + gdt_pointer - trampoline_start]
    jmp far dword [rdi + paging_off_pointer - trampoline_start]

long_mode:
    mov edi, edi
    mov rsp, [rdi + stack - trampoline_start]
    mov rax, [rdi + entry - trampoline_start]
    mov rdi, [rdi + index - trampoline_start]
    xor ebp, ebp
    push rbp                    ; as if called
    jmp rax

; struct trampoline_data (trampoline.h)
align 8
trampoline_data:
gdt:
    dq 0
    dq 0x00cf9b000000ffff       ; 0x08: 32-bit code
    dq 0x00cf93000000ffff       ; 0x10: data
    dq 0x00af9b000000ffff       ; 0x18: 64-bit code
gdt_pointer:
    dw 4 * 8 - 1
    dq gdt - trampoline_start   ; + page
protected_pointer:
    dd protected - trampoline_start ; + page
    dw 0x08
paging_off_pointer:
    dd paging_off - trampoline_start ; + page
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

section .text

; void trampoline_cross(uint64_t page, uint64_t *stack)
; Through the page, which the root now loaded maps one to one, into the root that its data names; back
; here with the GDT of the page. *stack is `stack` in the data; `entry` is trampoline_crossed.
global trampoline_cross
trampoline_cross:
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
    mov [rsi], rsp
    lea rax, [rdi + leave_long_mode - trampoline_start]
    jmp rax

global trampoline_crossed
trampoline_crossed:
    add rsp, 8                  ; what long_mode has pushed
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret
