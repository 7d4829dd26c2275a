/* image.cpp - the kernels of one file, SIM_FILE, and their table: those of SIM_LIST that are in it. TAKE_<image> is ENTRY for
 * that file alone.
 */
#include SIM_FILE

#ifndef SIM_LIST
#define SIM_LIST CUDA_KERNELS
#endif
#ifndef TAKE_rows
#define TAKE_rows(kernel)
#endif
#ifndef TAKE_product
#define TAKE_product(kernel)
#endif
#ifndef TAKE_attention
#define TAKE_attention(kernel)
#endif
#ifndef TAKE_tensor_attention
#define TAKE_tensor_attention(kernel)
#endif
#ifndef TAKE_heads
#define TAKE_heads(kernel)
#endif

/* A kernel's one parameter is copied for each thread. */
template <typename P> static P parameter_of(void (*)(P));

#define PARAMETER(kernel) decltype(parameter_of(kernel))
#define ENTRY(kernel) {#kernel, sizeof(PARAMETER(kernel)), [](const void *p) { kernel(*(const PARAMETER(kernel) *)p); }},
#define TAKE(image, kernel) TAKE_##image(kernel)

extern "C" const sim_kernel SIM_TABLE[] = {SIM_LIST(TAKE){nullptr, 0, nullptr}};
