/* The built-in model, a GGUF file that the build made (Makefile), as bytes of the program. */
        .section .rodata
        .balign 64
        .globl wen_builtin_begin
        .hidden wen_builtin_begin
wen_builtin_begin:
        .incbin BUILTIN_MODEL
        .globl wen_builtin_end
        .hidden wen_builtin_end
wen_builtin_end:
        .section .note.GNU-stack, "", %progbits
