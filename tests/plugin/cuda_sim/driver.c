/* driver.c - libcuda.so.1 of the simulated device: see cuda_sim.h. */
#include "driver.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "cuda_sim.h"
#include "grid.h"

#define NATIVE_IMAGE_MAGIC 0xba55ed50u  /* of the CUDA compiler's fat binaries */
#define DYNAMIC_SHARED_BYTES (48 << 10) /* without an attribute */
#define N_DEVICES 8

/* What was called on a stream, in order. */
typedef struct command {
    struct command *next;
    size_t bytes;
    void (*run)(const void *data);
    _Alignas(16) char data[];
} command;

typedef struct commands {
    command *first, **end;
} commands;

/* Anything that goes with its context. */
typedef struct owned {
    struct owned *next;
    CUcontext context;
    enum { A_MODULE, A_FUNCTION, A_STREAM, AN_ALLOCATION, A_GRAPH, A_LAUNCH, A_PIN } kind;
} owned;

struct CUctx_st {
    CUcontext next;
    CUdevice device;
    bool is_gone;
    CUresult error;
    owned *things;
    uint64_t used_bytes;
};

struct CUmod_st {
    owned owned;
    const sim_kernel *kernels; /* NULL: of all files */
};

struct CUfunc_st {
    owned owned;
    const sim_kernel *kernel;
    size_t dynamic_bytes;
};

struct CUstream_st {
    owned owned;
    commands commands;
    CUgraph graph; /* that it is captured to; NULL: it is not */
    pthread_t captured_by;
    bool is_spoiled;
};

struct CUgraph_st {
    owned owned;
    commands commands;
};

struct CUgraphExec_st {
    owned owned;
    commands commands;
};

typedef struct pin {
    owned owned;
    const char *memory;
    size_t bytes;
} pin;

typedef struct allocation {
    owned owned;
    sim_memory *memory;
    uint64_t bytes;
} allocation;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all of this, and the one device that runs */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t current_key; /* each thread's context; no thread-local variable, which would be shared memory */
static CUcontext contexts;        /* also those that are gone: their addresses are not used again */
static cuda_sim_orders orders;
static cuda_sim_counts counts;
static uint32_t n_refused_opens;
static CUresult refusal;
static uint64_t memory_bytes = (uint64_t)1 << 30;
static int n_devices = 1, driver_version = 13000, capability = 90;

SIM_EXPORT cuda_sim_control_fn cuda_sim_control;

int sim_capability(void)
{
    return capability;
}

/* ---- orders ---- */

static void read_environment(void)
{
    const char *memory = getenv("CUDA_SIM_MEMORY");
    const char *version = getenv("CUDA_SIM_DRIVER"), *architecture = getenv("CUDA_SIM_CAPABILITY");
    pthread_key_create(&current_key, NULL);
    memory_bytes = memory != NULL ? strtoull(memory, NULL, 10) : memory_bytes;
    driver_version = version != NULL ? atoi(version) : driver_version;
    capability = architecture != NULL ? atoi(architecture) : capability;
    sim_grid_order(getenv("CUDA_SIM_ORDER"));
}

void cuda_sim_control(const cuda_sim_orders *new_orders, cuda_sim_counts *out)
{
    pthread_once(&once, read_environment);
    pthread_mutex_lock(&lock);
    if (new_orders != NULL) {
        orders = *new_orders;
        n_refused_opens = 0;
    }
    if (out != NULL) {
        *out = counts;
        for (CUcontext c = contexts; c != NULL; c = c->next) {
            out->n_contexts += !c->is_gone;
            for (const owned *o = c->things; o != NULL; o = o->next) {
                out->n_allocated += o->kind == AN_ALLOCATION;
                out->n_streams += o->kind == A_STREAM;
                out->n_graphs += o->kind == A_GRAPH || o->kind == A_LAUNCH;
                out->n_pinned += o->kind == A_PIN;
            }
        }
    }
    pthread_mutex_unlock(&lock);
}

static bool is_meant(const char *call)
{
    static const char *const operations[] = {"cuMemcpyHtoDAsync", "cuMemcpyDtoHAsync", "cuMemsetD8Async", "cuLaunchKernel"};
    if (strcmp(orders.call, CUDA_SIM_ANY_OPERATION) != 0)
        return strcmp(orders.call, call) == 0;
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        if (strcmp(operations[i], call) == 0)
            return true;
    }
    return false;
}

/* With the lock. */
static int ordered(const char *call)
{
    if (orders.call == NULL || orders.at == 0 || !is_meant(call) || --orders.at > 0)
        return 0;
    orders.at = orders.period;
    counts.n_failures++;
    return orders.result;
}

int sim_ordered(const char *call)
{
    pthread_mutex_lock(&lock);
    const int result = ordered(call);
    pthread_mutex_unlock(&lock);
    return result;
}

/* ---- contexts ---- */

CUcontext sim_current_context(void)
{
    return pthread_getspecific(current_key);
}

void sim_count_product(void)
{
    counts.n_products++;
}

static bool is_live(CUcontext context)
{
    CUcontext c = contexts;
    while (c != NULL && c != context)
        c = c->next;
    return c != NULL && !c->is_gone;
}

/* Whether this thread has a stream that is captured, whose capture the call spoils. */
static bool spoils_capture(CUcontext context, const char *call)
{
    static const char *const forbidden[] = {
        "cuModuleLoadData",    "cuMemAlloc",        "cuMemFree",           "cuStreamCreate",    "cuStreamDestroy",
        "cuStreamSynchronize", "cuMemHostRegister", "cuMemHostUnregister", "cuMemcpyHtoDAsync", "cuMemcpyDtoHAsync"};
    bool is_forbidden = false, spoils = false;
    for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++)
        is_forbidden |= strcmp(call, forbidden[i]) == 0;
    for (owned *o = is_forbidden ? context->things : NULL; o != NULL; o = o->next) {
        CUstream stream = o->kind == A_STREAM ? (CUstream)(void *)o : NULL;
        if (stream == NULL || stream->graph == NULL || !pthread_equal(stream->captured_by, pthread_self()))
            continue;
        stream->is_spoiled = spoils = true;
    }
    return spoils;
}

/* Before every call in a context, which leaves with the lock: what it returns without having done anything. */
static CUresult enter(const char *call, CUcontext *context)
{
    pthread_once(&once, read_environment);
    pthread_mutex_lock(&lock);
    *context = pthread_getspecific(current_key);
    if (*context == NULL)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (!is_live(*context))
        return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    if (spoils_capture(*context, call))
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    if ((*context)->error == CUDA_SUCCESS) {
        const CUresult result = (CUresult)ordered(call);
        if (result == CUDA_ERROR_OUT_OF_MEMORY)
            return result;
        if (result != CUDA_SUCCESS) {
            (*context)->error = refusal = result;
            n_refused_opens = orders.n_opens;
        }
    }
    return (*context)->error;
}

static CUresult leave(CUresult result)
{
    pthread_mutex_unlock(&lock);
    return result;
}

static void *add_thing(CUcontext context, int kind, size_t bytes)
{
    owned *o = calloc(1, bytes);
    if (o == NULL)
        abort();
    o->kind = kind;
    o->context = context;
    o->next = context->things;
    context->things = o;
    return o;
}

static bool has_thing(CUcontext context, const void *thing, int kind)
{
    const owned *o = context->things;
    while (o != NULL && o != thing)
        o = o->next;
    return o != NULL && (int)o->kind == kind;
}

static void drop_commands(commands *all)
{
    for (command *c = all->first, *next; c != NULL; c = next) {
        next = c->next;
        free(c);
    }
    all->first = NULL;
    all->end = &all->first;
}

static void run_commands(commands *all)
{
    sim_memory_open();
    for (const command *c = all->first; c != NULL; c = c->next)
        c->run(c->data);
    sim_memory_close();
    drop_commands(all);
}

static void *append_command(commands *all, void (*run)(const void *data), size_t bytes)
{
    command *c = malloc(sizeof *c + bytes);
    if (c == NULL)
        abort();
    *c = (command){.bytes = bytes, .run = run};
    *all->end = c;
    all->end = &c->next;
    return c->data;
}

static void append_commands(commands *all, const commands *others)
{
    for (const command *c = others->first; c != NULL; c = c->next)
        memcpy(append_command(all, c->run, c->bytes), c->data, c->bytes);
}

static void remove_thing(owned *thing)
{
    owned **at = &thing->context->things;
    while (*at != thing)
        at = &(*at)->next;
    *at = thing->next;
    if (thing->kind == A_STREAM) {
        drop_commands(&((CUstream)(void *)thing)->commands);
    } else if (thing->kind == A_GRAPH) {
        drop_commands(&((CUgraph)(void *)thing)->commands);
    } else if (thing->kind == A_LAUNCH) {
        drop_commands(&((CUgraphExec)(void *)thing)->commands);
    } else if (thing->kind == AN_ALLOCATION) {
        thing->context->used_bytes -= ((allocation *)(void *)thing)->bytes;
        sim_memory_free(((allocation *)(void *)thing)->memory);
    }
    free(thing);
}

CUresult cuCtxCreate(CUcontext *out, CUctxCreateParams *parameters, unsigned flags, CUdevice device)
{
    (void)flags;
    pthread_once(&once, read_environment);
    pthread_mutex_lock(&lock);
    CUresult result = (CUresult)ordered("cuCtxCreate");
    if (result == CUDA_SUCCESS && n_refused_opens > 0) {
        n_refused_opens--;
        result = refusal;
    }
    if (result == CUDA_SUCCESS && (parameters != NULL || device < 0 || device >= n_devices))
        result = CUDA_ERROR_INVALID_VALUE;
    if (result != CUDA_SUCCESS)
        return leave(result);
    CUcontext c = calloc(1, sizeof *c);
    if (c == NULL)
        abort();
    c->device = device;
    c->next = contexts;
    contexts = c;
    pthread_setspecific(current_key, c);
    *out = c;
    return leave(CUDA_SUCCESS);
}

/* Frees all that the context has, also of one that failed. */
CUresult cuCtxDestroy(CUcontext context)
{
    pthread_mutex_lock(&lock);
    if (!is_live(context))
        return leave(CUDA_ERROR_INVALID_CONTEXT);
    while (context->things != NULL)
        remove_thing(context->things);
    context->is_gone = true;
    if (pthread_getspecific(current_key) == context)
        pthread_setspecific(current_key, NULL);
    return leave(context->error);
}

CUresult cuCtxSetCurrent(CUcontext context)
{
    pthread_once(&once, read_environment);
    pthread_mutex_lock(&lock);
    const CUresult result = context != NULL && !is_live(context) ? CUDA_ERROR_CONTEXT_IS_DESTROYED : CUDA_SUCCESS;
    if (result == CUDA_SUCCESS)
        pthread_setspecific(current_key, context);
    return leave(result);
}

/* ---- devices ---- */

CUresult cuInit(unsigned flags)
{
    pthread_once(&once, read_environment);
    return flags == 0 ? (CUresult)sim_ordered("cuInit") : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuDriverGetVersion(int *version)
{
    pthread_once(&once, read_environment);
    *version = driver_version;
    return CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult error, const char **text)
{
    switch (error) {
    case CUDA_ERROR_OUT_OF_MEMORY: *text = "out of memory"; break;
    case CUDA_ERROR_ECC_UNCORRECTABLE: *text = "uncorrectable ECC error encountered"; break;
    case CUDA_ERROR_LAUNCH_FAILED: *text = "unspecified launch failure"; break;
    default: *text = NULL; return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int *n)
{
    const char *devices = getenv("CUDA_SIM_DEVICES");
    pthread_mutex_lock(&lock);
    n_devices = devices != NULL ? atoi(devices) : 1;
    *n = n_devices;
    pthread_mutex_unlock(&lock);
    return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
    *device = ordinal;
    return ordinal >= 0 && ordinal < n_devices ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceGetName(char *name, int bytes, CUdevice device)
{
    snprintf(name, (size_t)bytes, "simulated GPU %d", device);
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device)
{
    (void)device;
    switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = capability / 10; return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *value = capability % 10; return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_VALUE;
}

CUresult cuDeviceGetPCIBusId(char *id, int bytes, CUdevice device)
{
    snprintf(id, (size_t)bytes, "0000:%02x:00.0", device);
    return CUDA_SUCCESS;
}

/* ---- kernels ---- */

static const struct {
    const char *image;
    const sim_kernel *kernels;
} images[] = {
    {"simulated rows;", sim_kernels_rows},           {"simulated product;", sim_kernels_product},
    {"simulated attention;", sim_kernels_attention}, {"simulated tensor_attention;", sim_kernels_tensor_attention},
    {"simulated heads;", sim_kernels_heads},         {"simulated faults;", sim_kernels_faults},
};
enum { N_IMAGES = sizeof images / sizeof images[0] };

/* Of a plugin that the CUDA compiler built, kernels are known by their names alone. */
CUresult cuModuleLoadData(CUmodule *module, const void *image)
{
    CUcontext context;
    uint32_t magic;
    CUresult result = enter("cuModuleLoadData", &context);
    if (result != CUDA_SUCCESS)
        return leave(result);
    const sim_kernel *kernels = NULL;
    for (size_t i = 0; i < N_IMAGES && kernels == NULL; i++) {
        if (memcmp(image, images[i].image, strlen(images[i].image)) == 0)
            kernels = images[i].kernels;
    }
    memcpy(&magic, image, sizeof magic);
    if (kernels == NULL && magic != NATIVE_IMAGE_MAGIC)
        return leave(CUDA_ERROR_INVALID_IMAGE);
    *module = add_thing(context, A_MODULE, sizeof **module);
    (*module)->kernels = kernels;
    return leave(CUDA_SUCCESS);
}

static const sim_kernel *find_kernel(const sim_kernel *kernels, const char *name)
{
    while (kernels->name != NULL && strcmp(kernels->name, name) != 0)
        kernels++;
    return kernels->name != NULL ? kernels : NULL;
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name)
{
    CUcontext context;
    CUresult result = enter("cuModuleGetFunction", &context);
    if (result == CUDA_SUCCESS && !has_thing(context, module, A_MODULE))
        result = CUDA_ERROR_INVALID_HANDLE;
    if (result != CUDA_SUCCESS)
        return leave(result);
    const sim_kernel *kernel = module->kernels != NULL ? find_kernel(module->kernels, name) : NULL;
    for (size_t i = 0; module->kernels == NULL && i < N_IMAGES && kernel == NULL; i++)
        kernel = find_kernel(images[i].kernels, name);
    if (kernel == NULL)
        return leave(CUDA_ERROR_NOT_FOUND);
    *function = add_thing(context, A_FUNCTION, sizeof **function);
    (*function)->kernel = kernel;
    (*function)->dynamic_bytes = DYNAMIC_SHARED_BYTES;
    return leave(CUDA_SUCCESS);
}

CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value)
{
    CUcontext context;
    CUresult result = enter("cuFuncSetAttribute", &context);
    if (result == CUDA_SUCCESS && !has_thing(context, function, A_FUNCTION))
        result = CUDA_ERROR_INVALID_HANDLE;
    if (result == CUDA_SUCCESS &&
        (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value < 0 || value > SIM_SHARED_BYTES))
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        function->dynamic_bytes = (size_t)value;
    return leave(result);
}

/* ---- memory ---- */

static uint64_t used_bytes(CUdevice device)
{
    uint64_t bytes = 0;
    for (CUcontext c = contexts; c != NULL; c = c->next)
        bytes += c->device == device ? c->used_bytes : 0;
    return bytes;
}

CUresult cuMemGetInfo(size_t *free_bytes, size_t *bytes)
{
    CUcontext context;
    CUresult result = enter("cuMemGetInfo", &context);
    if (result == CUDA_SUCCESS) {
        *bytes = memory_bytes;
        *free_bytes = memory_bytes - used_bytes(context->device);
    }
    return leave(result);
}

CUresult cuMemAlloc(CUdeviceptr *address, size_t bytes)
{
    CUcontext context;
    CUresult result = enter("cuMemAlloc", &context);
    if (result == CUDA_SUCCESS && bytes == 0)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS && bytes > memory_bytes - used_bytes(context->device))
        result = CUDA_ERROR_OUT_OF_MEMORY;
    if (result != CUDA_SUCCESS)
        return leave(result);
    allocation *a = add_thing(context, AN_ALLOCATION, sizeof *a);
    a->memory = sim_memory_new(bytes);
    if (a->memory == NULL)
        abort();
    a->bytes = bytes;
    context->used_bytes += bytes;
    *address = (CUdeviceptr)(uintptr_t)sim_memory_address(a->memory);
    return leave(CUDA_SUCCESS);
}

/* Waits for all of the context first. */
CUresult cuMemFree(CUdeviceptr address)
{
    CUcontext context;
    owned *found = NULL;
    CUresult result = enter("cuMemFree", &context);
    if (result != CUDA_SUCCESS)
        return leave(result);
    const sim_memory *memory = sim_memory_find((const char *)(uintptr_t)address);
    for (owned *o = context->things; o != NULL; o = o->next) {
        if (o->kind == A_STREAM)
            run_commands(&((CUstream)(void *)o)->commands);
        if (o->kind == AN_ALLOCATION && ((allocation *)(void *)o)->memory == memory)
            found = o;
    }
    if (found == NULL || memory == NULL)
        return leave(CUDA_ERROR_INVALID_VALUE);
    remove_thing(found);
    return leave(CUDA_SUCCESS);
}

/* Pages of the host that are locked stay so until the context goes; here no copy looks at it. */
CUresult cuMemHostRegister(void *memory, size_t bytes, unsigned flags)
{
    CUcontext context;
    CUresult result = enter("cuMemHostRegister", &context);
    if (result == CUDA_SUCCESS && (memory == NULL || bytes == 0 || flags != 0))
        result = CUDA_ERROR_INVALID_VALUE;
    for (const owned *o = result == CUDA_SUCCESS ? context->things : NULL; o != NULL; o = o->next) {
        const pin *p = (const pin *)(const void *)o;
        if (o->kind == A_PIN && p->memory < (const char *)memory + bytes && (const char *)memory < p->memory + p->bytes)
            result = CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
    }
    if (result != CUDA_SUCCESS)
        return leave(result);
    pin *p = add_thing(context, A_PIN, sizeof *p);
    p->memory = memory;
    p->bytes = bytes;
    return leave(CUDA_SUCCESS);
}

CUresult cuMemHostUnregister(void *memory)
{
    CUcontext context;
    owned *found = NULL;
    CUresult result = enter("cuMemHostUnregister", &context);
    for (owned *o = result == CUDA_SUCCESS ? context->things : NULL; o != NULL; o = o->next) {
        if (o->kind == A_PIN && ((pin *)(void *)o)->memory == memory)
            found = o;
    }
    if (result == CUDA_SUCCESS && found == NULL)
        result = CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
    if (result == CUDA_SUCCESS)
        remove_thing(found);
    return leave(result);
}

/* ---- streams ---- */

CUresult cuStreamCreate(CUstream *stream, unsigned flags)
{
    CUcontext context;
    CUresult result = enter("cuStreamCreate", &context);
    (void)flags;
    if (result == CUDA_SUCCESS) {
        *stream = add_thing(context, A_STREAM, sizeof **stream);
        drop_commands(&(*stream)->commands);
    }
    return leave(result);
}

CUresult cuStreamDestroy(CUstream stream)
{
    CUcontext context;
    CUresult result = enter("cuStreamDestroy", &context);
    if (result == CUDA_SUCCESS && !has_thing(context, stream, A_STREAM))
        result = CUDA_ERROR_INVALID_HANDLE;
    if (result == CUDA_SUCCESS) {
        run_commands(&stream->commands);
        remove_thing(&stream->owned);
    }
    return leave(result);
}

CUresult cuStreamSynchronize(CUstream stream)
{
    CUcontext context;
    CUresult result = enter("cuStreamSynchronize", &context);
    if (result == CUDA_SUCCESS && !has_thing(context, stream, A_STREAM))
        result = CUDA_ERROR_INVALID_HANDLE;
    if (result == CUDA_SUCCESS)
        run_commands(&stream->commands);
    return leave(result);
}

/* With the lock. */
static void *add_command(CUstream stream, void (*run)(const void *data), size_t bytes)
{
    return append_command(stream->graph != NULL ? &stream->graph->commands : &stream->commands, run, bytes);
}

int sim_stream_add(CUstream stream, void (*run)(const void *data), const void *data, size_t bytes)
{
    pthread_mutex_lock(&lock);
    CUcontext context = pthread_getspecific(current_key);
    const bool is_there = context != NULL && is_live(context) && has_thing(context, stream, A_STREAM);
    if (is_there)
        memcpy(add_command(stream, run, bytes), data, bytes);
    pthread_mutex_unlock(&lock);
    return is_there;
}

int sim_is_capturing(void)
{
    bool any = false;
    pthread_mutex_lock(&lock);
    CUcontext context = pthread_getspecific(current_key);
    for (owned *o = context != NULL ? context->things : NULL; o != NULL; o = o->next)
        any |= o->kind == A_STREAM && ((CUstream)(void *)o)->graph != NULL;
    pthread_mutex_unlock(&lock);
    return any;
}

/* ---- graphs ---- */

CUresult cuStreamBeginCapture(CUstream stream, CUstreamCaptureMode mode)
{
    CUcontext context;
    CUresult result = enter("cuStreamBeginCapture", &context);
    if (result == CUDA_SUCCESS && !has_thing(context, stream, A_STREAM))
        result = CUDA_ERROR_INVALID_HANDLE;
    if (result == CUDA_SUCCESS && (mode != CU_STREAM_CAPTURE_MODE_THREAD_LOCAL || stream->graph != NULL))
        result = CUDA_ERROR_INVALID_VALUE;
    if (result != CUDA_SUCCESS)
        return leave(result);
    stream->graph = add_thing(context, A_GRAPH, sizeof *stream->graph);
    drop_commands(&stream->graph->commands);
    stream->is_spoiled = false;
    stream->captured_by = pthread_self();
    return leave(CUDA_SUCCESS);
}

/* A capture ends also when this fails. */
CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph)
{
    CUcontext context;
    CUresult result = enter("cuStreamEndCapture", &context);
    *graph = NULL;
    if (context == NULL || !is_live(context) || !has_thing(context, stream, A_STREAM))
        return leave(result != CUDA_SUCCESS ? result : CUDA_ERROR_INVALID_HANDLE);
    if (stream->graph == NULL)
        return leave(result != CUDA_SUCCESS ? result : CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
    if (!pthread_equal(stream->captured_by, pthread_self()))
        return leave(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
    if (result == CUDA_SUCCESS && stream->is_spoiled)
        result = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    if (result == CUDA_SUCCESS)
        *graph = stream->graph;
    else
        remove_thing(&stream->graph->owned);
    stream->graph = NULL;
    return leave(result);
}

CUresult cuGraphInstantiate(CUgraphExec *launch, CUgraph graph, unsigned long long flags)
{
    CUcontext context;
    CUresult result = enter("cuGraphInstantiate", &context);
    if (result == CUDA_SUCCESS && (!has_thing(context, graph, A_GRAPH) || flags != 0))
        result = CUDA_ERROR_INVALID_VALUE;
    if (result != CUDA_SUCCESS)
        return leave(result);
    *launch = add_thing(context, A_LAUNCH, sizeof **launch);
    drop_commands(&(*launch)->commands);
    append_commands(&(*launch)->commands, &graph->commands);
    return leave(CUDA_SUCCESS);
}

static CUresult remove_graph(const char *call, void *graph, int kind)
{
    CUcontext context;
    CUresult result = enter(call, &context);
    if (result == CUDA_SUCCESS && !has_thing(context, graph, kind))
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        remove_thing(graph);
    return leave(result);
}

CUresult cuGraphDestroy(CUgraph graph)
{
    return remove_graph("cuGraphDestroy", graph, A_GRAPH);
}

CUresult cuGraphExecDestroy(CUgraphExec launch)
{
    return remove_graph("cuGraphExecDestroy", launch, A_LAUNCH);
}

CUresult cuGraphLaunch(CUgraphExec launch, CUstream stream)
{
    CUcontext context;
    CUresult result = enter("cuGraphLaunch", &context);
    if (result == CUDA_SUCCESS && (!has_thing(context, launch, A_LAUNCH) || !has_thing(context, stream, A_STREAM)))
        result = CUDA_ERROR_INVALID_HANDLE;
    if (result != CUDA_SUCCESS)
        return leave(result);
    append_commands(stream->graph != NULL ? &stream->graph->commands : &stream->commands, &launch->commands);
    counts.n_graph_launches++;
    return leave(CUDA_SUCCESS);
}

/* Copies, and, without a source, bytes of one value. */
typedef struct transfer {
    void *to;
    const void *from;
    size_t bytes;
    unsigned char value;
} transfer;

static void run_upload(const void *data)
{
    const transfer *t = data;
    sim_check_range("an upload", t->to, t->bytes, true);
    memcpy(t->to, t->from, t->bytes);
}

static void run_download(const void *data)
{
    const transfer *t = data;
    sim_check_range("a download", t->from, t->bytes, false);
    memcpy(t->to, t->from, t->bytes);
}

static void run_set(const void *data)
{
    const transfer *t = data;
    sim_check_range("memory that is set", t->to, t->bytes, true);
    memset(t->to, t->value, t->bytes);
}

static CUresult add_transfer(const char *call, CUstream stream, void (*run)(const void *data), transfer t)
{
    CUcontext context;
    CUresult result = enter(call, &context);
    if (result == CUDA_SUCCESS && !has_thing(context, stream, A_STREAM))
        result = CUDA_ERROR_INVALID_HANDLE;
    if (result == CUDA_SUCCESS)
        memcpy(add_command(stream, run, sizeof t), &t, sizeof t);
    return leave(result);
}

CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void *from, size_t bytes, CUstream stream)
{
    return add_transfer("cuMemcpyHtoDAsync", stream, run_upload,
                        (transfer){.to = (void *)(uintptr_t)to, .from = from, .bytes = bytes});
}

CUresult cuMemcpyDtoHAsync(void *to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    return add_transfer("cuMemcpyDtoHAsync", stream, run_download,
                        (transfer){.to = to, .from = (const void *)(uintptr_t)from, .bytes = bytes});
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t n, CUstream stream)
{
    return add_transfer("cuMemsetD8Async", stream, run_set,
                        (transfer){.to = (void *)(uintptr_t)to, .bytes = n, .value = value});
}

/* ---- launches ---- */

typedef struct launch_command {
    sim_launch launch; /* its parameters are behind it */
    _Alignas(16) char parameters[];
} launch_command;

static void run_launch(const void *data)
{
    const launch_command *c = data;
    sim_launch launch = c->launch;
    launch.parameters = c->parameters;
    sim_grid_run(&launch);
    counts.n_launches++;
}

static bool is_within(sim_dims d, uint64_t x, uint64_t y, uint64_t z)
{
    return d.x > 0 && d.y > 0 && d.z > 0 && d.x <= x && d.y <= y && d.z <= z;
}

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                        unsigned block_y, unsigned block_z, unsigned shared_bytes, CUstream stream, void **parameters,
                        void **extra)
{
    CUcontext context;
    const sim_dims blocks = {grid_x, grid_y, grid_z}, threads = {block_x, block_y, block_z};
    CUresult result = enter("cuLaunchKernel", &context);
    if (result == CUDA_SUCCESS && (!has_thing(context, stream, A_STREAM) || !has_thing(context, function, A_FUNCTION)))
        result = CUDA_ERROR_INVALID_HANDLE;
    if (result == CUDA_SUCCESS &&
        (extra != NULL || grid_z != 1 || !is_within(blocks, INT32_MAX, 65535, 65535) ||
         !is_within(threads, 1024, 1024, 64) || (uint64_t)block_x * block_y * block_z > SIM_MOST_THREADS ||
         shared_bytes > function->dynamic_bytes))
        result = CUDA_ERROR_INVALID_VALUE;
    if (result != CUDA_SUCCESS)
        return leave(result);
    const size_t bytes = function->kernel->parameter_bytes;
    launch_command *c = add_command(stream, run_launch, sizeof *c + bytes);
    c->launch = (sim_launch){.kernel = function->kernel, .blocks = blocks, .threads = threads, .shared_bytes = shared_bytes};
    memcpy(c->parameters, parameters[0], bytes);
    return leave(CUDA_SUCCESS);
}
