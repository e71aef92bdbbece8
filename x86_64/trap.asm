; Ways into the kernel: page faults (fast), everything else (complete), syscall (the end of a run in
; ring 3).
;
; Concepts: a resolved page fault costs about 38 instructions including an empty C handler, so it saves
; only what C may clobber. A refused one does not return to where it came from: it ends the run
; (access.asm), whose way back stands at [gs:CPU_LOCAL_RSP0].
; Invariants: %gs is the kernel's after the first instructions of each entry; interrupts are off;
; direction flag and, where there is SMAP, the right to user memory (AC) are cleared before any C.
bits 64
default rel
%include "cpu_local.inc"

extern trap_dispatch
extern trap_nothing
extern machine_fault_handler
extern features_smap
extern kernel_loops_start
extern kernel_loops_end

; enum fault_access
%define ACCESS_WRITE 1
%define ACCESS_EXEC 2
%define ACCESS_USER 4

; Page-fault error code
%define ERROR_WRITE 2
%define ERROR_USER 4
%define ERROR_FETCH 16
; A reserved bit, a protection key, a shadow stack, ...: no fault that mm could resolve
%define ERROR_STRANGE 0xe8

; --- page faults ---------------------------------------------------------------------------------

section .rodata
; enum fault_access by error code
fault_access:
%assign error 0
%rep 32
    db ((error & ERROR_WRITE) != 0) * ACCESS_WRITE | ((error & ERROR_FETCH) != 0) * ACCESS_EXEC \
        | ((error & ERROR_USER) != 0) * ACCESS_USER
%assign error error + 1
%endrep

section .text

; Saves what C may clobber; rax takes the place of the error code, so that the stack is aligned for
; the call and iretq finds it clean. Leaves the arguments of the handler in rdi and rsi.
%macro fault_save 1 ; smap
    push rcx
    push rdx
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    movzx esi, byte [rsp + 64]
    mov [rsp + 64], rax
    mov rdi, cr2
    movzx esi, byte [fault_access + rsi]
%if %1
    clac
%endif
    cld
%endmacro
%define SAVED_RIP 72
%define SAVED_RSP 96

%macro fault_restore 0
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rax
%endmacro

%macro define_fault_entry 2 ; name, smap
align 16
global %1
%1:
    test byte [rsp], ERROR_STRANGE
    jnz fault_strange
    test byte [rsp + 16], 3     ; from ring 3?
    jz %%kernel
    swapgs
    fault_save %2
    call [machine_fault_handler]
    test eax, eax
    jnz fault_refused
    fault_restore
    swapgs
    iretq

%%kernel:
    ; Only the loops of a run may fault here; any other fault is a bug of the kernel.
    cmp qword [rsp + 8], kernel_loops_start
    jb %%elsewhere
    cmp qword [rsp + 8], kernel_loops_end
    jae %%elsewhere
%%expected:
    fault_save %2
    call [machine_fault_handler]
    test eax, eax
    jnz fault_refused
    fault_restore
    iretq

%%elsewhere:
    ; A run of kernel calls faults at what it calls: the address is that of the fault, and the loop is
    ; where the call would have returned to.
    push rax
    push rcx
    mov rax, cr2
    cmp rax, [rsp + 24]
    jne %%strange
    mov rax, [rsp + 48]         ; the stack pointer that was
    mov rcx, rsp
    sub rax, rcx
    cmp rax, 128                ; ... is it just above this frame? Then it can be read.
    ja %%strange
    mov rax, [rcx + rax]
    cmp rax, kernel_loops_start
    jb %%strange
    cmp rax, kernel_loops_end
    jae %%strange
    pop rcx
    pop rax
    jmp %%expected
%%strange:
    pop rcx
    pop rax
    jmp fault_strange
%endmacro

global fault_entries_start
global fault_entries_end
fault_entries_start:
define_fault_entry fault_entry, 0
define_fault_entry fault_entry_smap, 1
fault_entries_end:

; rax: enum fault_outcome
fault_refused:
    mov rdx, [rsp + SAVED_RIP]
    mov rcx, cr2
    mov rsp, [gs:CPU_LOCAL_RSP0]
    mov rsi, [rsp]              ; struct run
    mov [rsi + RUN_RIP], rdx
    mov [rsi + RUN_FAULT_ADDRESS], rcx
    mov edi, RUN_END_FAULT
    jmp run_exit

; With the error code on the stack, as the exception left it.
fault_strange:
    push VECTOR_PAGE_FAULT
    jmp trap_common

; --- measuring an empty page fault ---------------------------------------------------------------

%define FAULTING_SIZE 3         ; mov rcx, [rbx]

align 16
global fault_entry_gate
fault_entry_gate:
    add rsp, 8
    add qword [rsp], FAULTING_SIZE
    iretq

%macro define_fault_entry_trap 2 ; name, smap
align 16
global %1
%1:
    test byte [rsp], ERROR_STRANGE
    jnz fault_strange
    test byte [rsp + 16], 3
    jz fault_strange
    swapgs
    fault_save %2
    call [trap_nothing_pointer]
    test eax, eax
    jnz fault_refused
    add qword [rsp + SAVED_RIP], FAULTING_SIZE
    fault_restore
    swapgs
    iretq
%endmacro

define_fault_entry_trap fault_entry_trap, 0
define_fault_entry_trap fault_entry_trap_smap, 1

section .data
align 8
trap_nothing_pointer: dq trap_nothing

section .text

; --- trying an address ---------------------------------------------------------------------------

; A run that only wants to know whether its access is possible.
align 16
global fault_entry_try
fault_entry_try:
    test byte [rsp + 16], 3
    jz fault_strange
    swapgs
    mov edi, RUN_END_FAULT
    mov rsp, [gs:CPU_LOCAL_RSP0]
    jmp run_exit

; --- the end of a run ----------------------------------------------------------------------------

; From ring 3: rdi is enum run_end, rax what was observed.
align 16
global syscall_entry
syscall_entry:
    swapgs
    mov rsp, [gs:CPU_LOCAL_RSP0]
    ; falls through

; On the stack as run_enter_* (access.asm) left it; rdi: enum run_end; rax: outcome or observed value;
; rbx, rbp, r13, r14 as the loop had them.
global run_exit
run_exit:
    pop rcx                     ; struct run
    mov [rcx + RUN_ADDRESS], rbx
    mov [rcx + RUN_REMAINING], rbp
    mov [rcx + RUN_START], r14
    mov [rcx + RUN_RESULT], rax
    mov eax, edi
    popfq
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret

; --- everything else -----------------------------------------------------------------------------

%macro push_registers 0
    push rax
    push rbx
    push rcx
    push rdx
    push rsi
    push rdi
    push rbp
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
%endmacro

%macro pop_registers 0
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rbp
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rbx
    pop rax
%endmacro

; SMAP: no right to user memory for the kernel's own code, whatever the user's AC says.
%macro drop_user_access 0
    cmp byte [features_smap], 0
    je %%none
    clac
%%none:
%endmacro

; Behind the error code (0 where the CPU gives none) and the vector.
align 16
global trap_entries_start
global trap_entries_end
trap_entries_start:
trap_common:
    cld
    test byte [rsp + 24], 3
    jz .kernel
    swapgs
.kernel:
    push_registers
    drop_user_access
    mov rdi, rsp
    call trap_dispatch
    pop_registers
    test byte [rsp + 24], 3
    jz .to_kernel
    swapgs
.to_kernel:
    add rsp, 16
    iretq

; The same for what can interrupt anything, even an entry that has not done its swapgs yet: there the
; code segment says nothing about %gs, its base does (the kernel's is negative, the user's is 0).
trap_paranoid:
    cld
    push_registers
    mov ecx, 0xc0000101         ; IA32_GS_BASE
    rdmsr
    xor ebx, ebx
    test edx, edx
    js .kernel
    swapgs
    inc ebx
.kernel:
    drop_user_access
    mov rdi, rsp
    call trap_dispatch
    test ebx, ebx
    jz .to_kernel
    swapgs
.to_kernel:
    pop_registers
    add rsp, 16
    iretq

trap_entries_end:

; Does the CPU push an error code with this exception?
%define HAS_ERROR(v) ((v) == 8 || ((v) >= 10 && (v) <= 14) || (v) == 17 || (v) == 21 || (v) == 29 || (v) == 30)

%macro define_stub 2 ; vector, where to
align 16
%if !HAS_ERROR(%1)
    push 0
%endif
    push %1
    jmp %2
%endmacro

align 16
global trap_stubs
trap_stubs:
%assign vector 0
%rep 256
    define_stub vector, trap_common
%assign vector vector + 1
%endrep

; In the order of enum ist.
align 16
global trap_stubs_paranoid
trap_stubs_paranoid:
    define_stub 2, trap_paranoid
    define_stub 8, trap_paranoid
    define_stub 18, trap_paranoid
