; The functions that compilers call by themselves. By words: where every instruction is counted
; (exact mode), each turn of a rep is one.
bits 64
default rel

section .text

; void *memcpy(void *to, const void *from, size_t size)
global memcpy
memcpy:
    mov rax, rdi
    mov rcx, rdx
    shr rcx, 3
    rep movsq
    mov ecx, edx
    and ecx, 7
    jnz .tail
    ret
.tail:
    rep movsb
    ret

; void *memmove(void *to, const void *from, size_t size)
global memmove
memmove:
    mov rax, rdi
    sub rax, rsi
    cmp rax, rdx
    jae memcpy                  ; `to` is not within [from, from + size): upwards is safe
    mov rax, rdi
    lea rdi, [rdi + rdx - 1]
    lea rsi, [rsi + rdx - 1]
    mov rcx, rdx
    and ecx, 7
    std
    rep movsb
    mov rcx, rdx
    shr rcx, 3
    sub rdi, 7
    sub rsi, 7
    rep movsq
    cld
    ret

; void *memset(void *to, int byte, size_t size)
global memset
memset:
    mov r8, rdi
    movzx eax, sil
    mov rcx, 0x0101010101010101
    imul rax, rcx
    mov rcx, rdx
    shr rcx, 3
    rep stosq
    mov ecx, edx
    and ecx, 7
    rep stosb
    mov rax, r8
    ret

; int memcmp(const void *a, const void *b, size_t size)
global memcmp
memcmp:
    xor ecx, ecx
.words:
    lea r8, [rcx + 8]
    cmp r8, rdx
    ja .bytes
    mov r9, [rdi + rcx]
    cmp r9, [rsi + rcx]
    jne .bytes
    mov rcx, r8
    jmp .words
.bytes:
    cmp rcx, rdx
    jae .equal
    movzx eax, byte [rdi + rcx]
    movzx r8d, byte [rsi + rcx]
    inc rcx
    sub eax, r8d
    jz .bytes
    ret
.equal:
    xor eax, eax
    ret

; size_t strlen(const char *text)
global strlen
strlen:
    xor eax, eax
.next:
    cmp byte [rdi + rax], 0
    je .end
    inc rax
    jmp .next
.end:
    ret
