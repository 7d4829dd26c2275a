/* images.S - the kernels' fat binaries, as bytes of this library; the build has their folder among those of includes. */
    .section .rodata
    .macro image name
    .balign 64
    .global image_\name
    .hidden image_\name
image_\name:
    .incbin "\name\().fatbin"
    .endm

    image rows
    image product
    image attention
    image tensor_attention
    image heads

    .section .note.GNU-stack, "", %progbits
