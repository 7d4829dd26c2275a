/* libraries.c - see libraries.h. */
#include "libraries.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define LEAST_DRIVER 13000 /* older ones do not read code that the 13.0 compiler wrote */
#define DRIVER_NEEDED "a driver for CUDA 13.0 (580 or later) is needed"
#define PRODUCTS "libcublasLt.so.13"

libraries cuda;

/* ---- opening ---- */

/* The functions of one library: their names, and where in the table they go. */
typedef struct entry {
    const char *name;
    void *at;
} entry;

#define TEXT(name) #name
#define ENTRY(name) {TEXT(name), &cuda.name}, /* names are macros that pick a function's version: they expand here */

static bool open_one(const char *file, const entry *entries, size_t n, char why[HD_PLUGIN_TEXT_BYTES])
{
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        const char *said = dlerror();
        snprintf(why, HD_PLUGIN_TEXT_BYTES, "%s", said != NULL ? said : file);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        void *symbol = dlsym(library, entries[i].name);
        if (symbol == NULL) {
            snprintf(why, HD_PLUGIN_TEXT_BYTES, "%s has no %s", file, entries[i].name);
            dlclose(library);
            return false;
        }
        memcpy(entries[i].at, &symbol, sizeof symbol); /* ISO C has no cast from data to function */
    }
    return true;
}

static bool open_driver(char why[HD_PLUGIN_TEXT_BYTES])
{
    static const entry entries[] = {DRIVER_FUNCTIONS(ENTRY)};
    char said[HD_PLUGIN_TEXT_BYTES];
    if (!open_one("libcuda.so.1", entries, sizeof entries / sizeof entries[0], said)) {
        snprintf(why, HD_PLUGIN_TEXT_BYTES, "NVIDIA's driver is not there: %.150s; " DRIVER_NEEDED, said);
        return false;
    }
    CUresult result = cuda.cuDriverGetVersion(&cuda.driver_version);
    if (result == CUDA_SUCCESS && cuda.driver_version < LEAST_DRIVER) {
        snprintf(why, HD_PLUGIN_TEXT_BYTES, "the driver found is for CUDA %d.%d, " DRIVER_NEEDED, cuda.driver_version / 1000,
                 cuda.driver_version % 1000 / 10);
        return false;
    }
    result = result == CUDA_SUCCESS ? cuda.cuInit(0) : result;
    if (result == CUDA_SUCCESS)
        return true;
    driver_failure(result, "the driver does not start", why);
    return false;
}

static bool open_products(char why[HD_PLUGIN_TEXT_BYTES])
{
    static const entry entries[] = {PRODUCT_FUNCTIONS(ENTRY)};
    char said[HD_PLUGIN_TEXT_BYTES];
    if (open_one(PRODUCTS, entries, sizeof entries / sizeof entries[0], said))
        return true;
    snprintf(why, HD_PLUGIN_TEXT_BYTES, "cuBLASLt is not there: %.150s; " PRODUCTS " of CUDA 13 is needed", said);
    return false;
}

static bool open_nvml(char why[HD_PLUGIN_TEXT_BYTES])
{
    static const entry entries[] = {MANAGEMENT_FUNCTIONS(ENTRY)};
    return open_one("libnvidia-ml.so.1", entries, sizeof entries / sizeof entries[0], why) &&
           cuda.nvmlInit_v2() == NVML_SUCCESS;
}

bool libraries_open(const hd_plugin_host *host, char why[HD_PLUGIN_TEXT_BYTES])
{
    char said[HD_PLUGIN_TEXT_BYTES] = "it does not start";
    if (cuda.host != NULL)
        return true;
    if (!open_driver(why) || !open_products(why))
        return false;
    cuda.has_nvml = open_nvml(said);
    if (!cuda.has_nvml) {
        char line[HD_PLUGIN_TEXT_BYTES];
        snprintf(line, sizeof line, "utilisation and temperature of GPUs are not known: NVML: %.180s", said);
        host->log(false, line);
    }
    cuda.host = host;
    return true;
}

/* ---- failures ---- */

hd_plugin_status driver_failure(CUresult result, const char *what, char why[HD_PLUGIN_TEXT_BYTES])
{
    const char *said = NULL;
    if (cuda.cuGetErrorString(result, &said) != CUDA_SUCCESS || said == NULL)
        said = "an error without a name";
    snprintf(why, HD_PLUGIN_TEXT_BYTES, "%s: %.120s (%d)", what, said, (int)result);
    switch (result) {
    case CUDA_ERROR_OUT_OF_MEMORY: return HD_PLUGIN_NO_MEMORY;
    case CUDA_ERROR_NO_DEVICE:
    case CUDA_ERROR_INVALID_DEVICE: return HD_PLUGIN_NO_DEVICE;
    case CUDA_ERROR_DEVICE_UNAVAILABLE:
    case CUDA_ERROR_ECC_UNCORRECTABLE:
    case CUDA_ERROR_NVLINK_UNCORRECTABLE:
    case CUDA_ERROR_SYSTEM_NOT_READY: return HD_PLUGIN_LOST;
    default: return HD_PLUGIN_FAILED;
    }
}
