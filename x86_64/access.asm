; The loops that access memory, twice: as the program of ring 3 and as kernel code; and the way in.
;
; Concepts: a loop keeps its state in registers that C preserves (struct run), so that a page fault
; needs to save none of them, and a refused access leaves them as they were, however it ends:
;     rbx  address            rbp  accesses left         r12  stride
;     r13  slot               r14  start stamp           r15  value
; A timed access has lfence-rdtsc-lfence on both sides; its latency goes to the slot. A listed access
; takes its address from the slot. A call ("exec") in ring 3 uses the word of the slot itself as stack,
; when the caller gave none: the address has been read by then, and the latency comes later.
; The user program is position independent, has a page of its own and ends with syscall.
bits 64
default rel
%include "cpu_local.inc"

extern run_exit
extern features_smap

%define KIND_READ 0
%define KIND_READ_CHECK 1
%define KIND_WRITE 2
%define KIND_EXEC 3             ; its stack is the slot
%define KIND_EXEC_STACK 4       ; it has a stack
%define KIND_NOTHING 5
%define KIND_COUNT 6

%define FLAG_TIMED 1
%define FLAG_LISTED 2
%define FLAGS_COUNT 4

%macro access_loop 4 ; kind, flags, label of the end, label of the mismatch
%define is_timed ((%2) & FLAG_TIMED)
%define is_listed ((%2) & FLAG_LISTED)
align 16
%%next:
%if is_listed
    mov rbx, [r13]
%endif
%if (%1) == KIND_EXEC && (%2) != 0
    lea rsp, [r13 + 8]
%endif
%if is_timed
    lfence
    rdtsc
    lfence
    shl rdx, 32
    lea r14, [rdx + rax]
%endif
%if (%1) == KIND_READ || (%1) == KIND_READ_CHECK
    mov rcx, [rbx]
%elif (%1) == KIND_WRITE
    mov [rbx], r15
%elif (%1) == KIND_EXEC || (%1) == KIND_EXEC_STACK
    call rbx
%endif
%if is_timed
    lfence
    rdtsc
    lfence
    shl rdx, 32
    or rax, rdx
    sub rax, r14
    mov [r13], rax
%endif
%if (%1) == KIND_READ_CHECK
    cmp rcx, r15
    jne %4
%endif
%if (%2) != 0
    add r13, 8
%endif
%if !is_listed
    add rbx, r12
%endif
    dec rbp
    jnz %%next
    jmp %3
%endmacro

; All loops, each with a label PREFIX_kind_flags.
%macro access_loops 1 ; prefix
%assign kind 0
%rep KIND_COUNT
%assign flags 0
%rep FLAGS_COUNT
align 16
%1 %+ _ %+ kind %+ _ %+ flags:
    access_loop kind, flags, %1 %+ _end, %1 %+ _mismatch
%assign flags flags + 1
%endrep
%assign kind kind + 1
%endrep
%endmacro

; --- ring 3 --------------------------------------------------------------------------------------

section .user progbits alloc noexec nowrite align=4096
global user_program_start
user_program_start:
user_end:
    xor edi, edi                ; RUN_END_DONE
    syscall
user_mismatch:
    mov rax, rcx
    mov edi, RUN_END_MISMATCH
    syscall
    access_loops user
    times 4096 - ($ - user_program_start) db 0xcc

; --- ring 0 --------------------------------------------------------------------------------------

section .text
global kernel_loops_start
global kernel_loops_end
kernel_loops_start:
    access_loops kernel
kernel_loops_end:

kernel_end:
    xor edi, edi                ; RUN_END_DONE
    mov rsp, [gs:CPU_LOCAL_RSP0]
    jmp run_exit                ; its popfq takes the right to user memory back
kernel_mismatch:
    mov rax, rcx
    mov edi, RUN_END_MISMATCH
    mov rsp, [gs:CPU_LOCAL_RSP0]
    jmp run_exit

; The entries by kind and flags: offsets in the program's page, addresses in the kernel.
section .rodata
align 8
global user_loops
user_loops:
%assign kind 0
%rep KIND_COUNT
%assign flags 0
%rep FLAGS_COUNT
    dd user_ %+ kind %+ _ %+ flags - user_program_start
%assign flags flags + 1
%endrep
%assign kind kind + 1
%endrep

align 8
global kernel_loops
kernel_loops:
%assign kind 0
%rep KIND_COUNT
%assign flags 0
%rep FLAGS_COUNT
    dq kernel_ %+ kind %+ _ %+ flags
%assign flags flags + 1
%endrep
%assign kind kind + 1
%endrep

; --- the way in ----------------------------------------------------------------------------------

section .text

; What run_exit pops.
%macro run_save 0
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
    pushfq
    push rdi
%endmacro

%macro run_load 0
    mov rbx, [rdi + RUN_ADDRESS]
    mov rbp, [rdi + RUN_REMAINING]
    mov r12, [rdi + RUN_STRIDE]
    mov r13, [rdi + RUN_SLOT]
    mov r15, [rdi + RUN_VALUE]
%endmacro

; enum run_end run_enter_user(struct run *run)
align 16
global run_enter_user
run_enter_user:
    run_save
    cli                         ; until iretq: %gs and the code segment disagree from swapgs on
    mov [gs:CPU_LOCAL_RSP0], rsp
    mov rax, [rsp + 8]          ; the kernel's flags, interrupts as they were
    push USER_DATA
    push qword [rdi + RUN_RSP]
    push rax
    push USER_CODE
    push qword [rdi + RUN_RIP]
    run_load
    swapgs
    iretq

; enum run_end run_enter_kernel(struct run *run)
align 16
global run_enter_kernel
run_enter_kernel:
    run_save
    mov [gs:CPU_LOCAL_RSP0], rsp
    run_load
    cmp byte [features_smap], 0
    je .enter
    stac
.enter:
    jmp [rdi + RUN_RIP]
