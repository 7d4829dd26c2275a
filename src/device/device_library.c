/* device_library.c - see device_library.h. */
#include "device/device_library.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/log.h"

/* ---- what the plugin is given ---- */

static void log_line(bool is_warning, const char *line)
{
    hd__log(is_warning ? HD_LOG_WARN : HD_LOG_INFO, "%s", line);
}

static const hd_plugin_host host = {
    .version = HD_PLUGIN_VERSION,
    .size = sizeof host,
    .alloc = hd__malloc,
    .free = hd__free,
    .log = log_line,
};

/* ---- where it is ---- */

/* The folder of the program or library that this code is in. A program's own name may be a word that a shell looked up. */
static bool own_folder(char folder[HD_LIMIT_PATH_BYTES])
{
    Dl_info info;
    const bool is_path = dladdr(&host, &info) != 0 && info.dli_fname != NULL && strchr(info.dli_fname, '/') != NULL;
    if (realpath(is_path ? info.dli_fname : "/proc/self/exe", folder) == NULL)
        return false;
    *strrchr(folder, '/') = '\0';
    return true;
}

/* The first of the places that has the file; false, and the last one looked at, when none has. */
_Static_assert(HD_LIMIT_PATH_BYTES >= PATH_MAX, "what realpath writes");
static bool find(const char *name, char path[HD_LIMIT_PATH_BYTES])
{
    static const char *const places[] = {"", "heddle/", "../lib/heddle/"};
    const char *given = secure_getenv("HEDDLE_PLUGIN_DIR");
    char folder[HD_LIMIT_PATH_BYTES];
    if (given != NULL) {
        const int n = snprintf(path, HD_LIMIT_PATH_BYTES, "%s/heddle-%s.so", given, name);
        return n < (int)HD_LIMIT_PATH_BYTES && access(path, R_OK) == 0;
    }
    path[0] = '\0';
    for (size_t i = 0; own_folder(folder) && i < sizeof places / sizeof places[0]; i++) {
        const int n = snprintf(path, HD_LIMIT_PATH_BYTES, "%s/%sheddle-%s.so", folder, places[i], name);
        if (n < (int)HD_LIMIT_PATH_BYTES && access(path, R_OK) == 0)
            return true;
    }
    return false;
}

/* ---- what it is ---- */

static hd_status check(const char *path, const hd_plugin *plugin, hd_error *err)
{
    if (plugin->version != HD_PLUGIN_VERSION)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s is a plugin of version %u, this Heddle needs version %u", path,
                        plugin->version, HD_PLUGIN_VERSION);
    if (plugin->size < sizeof *plugin)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s is too old a plugin: its table has %u bytes, this Heddle needs %zu",
                        path, plugin->size, sizeof *plugin);
    if (plugin->n_devices == 0)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s finds no device", path);
    return HD_OK;
}

hd_status hd__device_library_open(const char *name, const hd_plugin **out, hd_error *err)
{
    char path[HD_LIMIT_PATH_BYTES], why[HD_PLUGIN_TEXT_BYTES] = "";
    hd_plugin_begin_fn *begin = NULL;
    if (!find(name, path))
        return hd__fail(err, HD_ERR_NOT_FOUND, "there is no plugin heddle-%s.so here (the last place looked at: %s)", name,
                        path);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "the plugin does not open: %s", dlerror());
    void *symbol = dlsym(library, "hd_plugin_begin");
    if (symbol == NULL)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s is no plugin: it has no hd_plugin_begin", path);
    memcpy(&begin, &symbol, sizeof symbol); /* ISO C has no cast from data to function */
    const hd_plugin *plugin = begin(&host, why);
    if (plugin == NULL)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: %.*s", path, (int)sizeof why - 1, why);
    HD_TRY(check(path, plugin, err));
    *out = plugin;
    return HD_OK;
}
