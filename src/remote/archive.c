/* archive.c - see archive.h. Zip archives are read by libzip, which checks each file's CRC at its end. */
#include "remote/archive.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include <zip.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/limits.h"

#define COPY_BYTES (1u << 20)

/* ---- a folder ---- */

/* Lists files right in dir and in its subfolders, `prefix` being the path from the model's folder to here.
 * Links to files count as files: that is how the Hugging Face cache keeps them. */
static hd_status list_folder(hd_file_list *list, const char *dir, const char *prefix, int depth, hd_error *err)
{
    DIR *handle = opendir(dir);
    if (handle == NULL)
        return HD_OK;
    hd_status status = HD_OK;
    const struct dirent *entry;
    while (status == HD_OK && (entry = readdir(handle)) != NULL) {
        struct stat st;
        if (entry->d_name[0] == '.')
            continue;
        const char *path = hd__arena_printf(list->arena, "%s/%s", dir, entry->d_name);
        const char *below = hd__arena_printf(list->arena, "%s%s%s", prefix, prefix[0] != '\0' ? "/" : "", entry->d_name);
        if (path == NULL || below == NULL) {
            status = hd__fail(err, HD_ERR_MEMORY, "%s: no memory to list it", dir);
        } else if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && hd__path_is_below(hd__span_of(below))) {
            hd_remote_file file = {.path = below, .bytes = (uint64_t)st.st_size};
            status = hd__file_list_add(list, &file, err);
        } else if (depth > 1 && hd__dir_exists(path)) {
            status = list_folder(list, path, below, depth - 1, err);
        }
    }
    closedir(handle);
    return status;
}

/* data is the folder's path. */
static hd_status copy_file(void *data, hd_remote_file *file, const char *to, hd_pull_meter *meter, hd_error *err)
{
    const char *dir = data;
    char from[HD_LIMIT_PATH_BYTES];
    int n = snprintf(from, sizeof from, "%s/%s", dir, file->path);
    if (n < 0 || (size_t)n >= sizeof from)
        return hd__fail(err, HD_ERR_LIMIT, "%s/%s: path of more than %u bytes", dir, file->path, HD_LIMIT_PATH_BYTES - 1);
    hd_file_map map;
    hd_file_writer writer;
    HD_TRY(hd__file_map_open(from, &map, err));
    hd_status status = hd__file_writer_open(&writer, to, err);
    if (status == HD_OK) {
        for (size_t at = 0; at < map.bytes.len && status == HD_OK; at += COPY_BYTES) {
            size_t part = map.bytes.len - at < COPY_BYTES ? map.bytes.len - at : COPY_BYTES;
            hd__file_writer_add(&writer, hd__span(map.bytes.ptr + at, part));
            status = hd__meter_set(meter, at + part, err);
        }
        if (status == HD_OK)
            status = hd__file_writer_commit(&writer, err);
        else
            hd__file_writer_abandon(&writer);
    }
    hd__file_map_close(&map);
    return status;
}

hd_status hd__folder_source_open(hd_pull_source *source, const char *dir, hd_arena *arena, hd_error *err)
{
    const int most_depth = 4;
    *source = (hd_pull_source){
        .files = {.arena = arena, .source = dir}, .fetch = copy_file, .data = (void *)(uintptr_t)dir, .dir = dir};
    return list_folder(&source->files, dir, "", most_depth, err);
}

/* ---- a zip archive ---- */

static void close_archive(void *archive)
{
    zip_discard(archive);
}

static hd_status open_archive(const char *path, hd_arena *arena, zip_t **archive, hd_error *err)
{
    int code = 0;
    *archive = zip_open(path, ZIP_RDONLY | ZIP_CHECKCONS, &code);
    if (*archive == NULL && code == ZIP_ER_NOZIP)
        return hd__fail(err, HD_ERR_FORMAT,
                        "%s: no zip archive, or one that is cut short; what is pulled is a folder, a .zip or a .whl, and a "
                        "GGUF file is used where it lies",
                        path);
    if (*archive == NULL) {
        zip_error_t error;
        zip_error_init_with_code(&error, code);
        hd_status status = hd__fail(err,
                                    code == ZIP_ER_MEMORY ? HD_ERR_MEMORY
                                    : code == ZIP_ER_OPEN ? HD_ERR_IO
                                                          : HD_ERR_FORMAT,
                                    "%s: not a sound zip archive: %s", path, zip_error_strerror(&error));
        zip_error_fini(&error);
        return status;
    }
    hd_status status = hd__arena_on_clear(arena, close_archive, *archive);
    if (status != HD_OK) {
        zip_discard(*archive);
        return hd__fail(err, status, "%s: no memory to open it", path);
    }
    return HD_OK;
}

/* Symbolic links, by the Unix mode that Unix zip programs store. */
static bool is_link(zip_t *archive, zip_uint64_t index)
{
    const zip_uint32_t type_mask = 0170000, link_type = 0120000;
    zip_uint8_t system = 0;
    zip_uint32_t attributes = 0;
    return zip_file_get_external_attributes(archive, index, 0, &system, &attributes) == 0 && system == ZIP_OPSYS_UNIX &&
           (attributes >> 16 & type_mask) == link_type;
}

/* Checks every entry, wanted or not, and lists the files with their whole names. */
static hd_status list_archive(zip_t *archive, const char *path, hd_file_list *all, hd_error *err)
{
    zip_int64_t n = zip_get_num_entries(archive, 0);
    uint64_t total = 0;
    if ((uint64_t)n > HD_LIMIT_MODEL_FILES)
        return hd__fail(err, HD_ERR_LIMIT, "%s: %lld entries, the limit is %u", path, (long long)n, HD_LIMIT_MODEL_FILES);
    for (zip_uint64_t i = 0; i < (zip_uint64_t)n; i++) {
        zip_stat_t st;
        const zip_uint64_t needed = ZIP_STAT_NAME | ZIP_STAT_SIZE;
        if (zip_stat_index(archive, i, ZIP_FL_ENC_GUESS, &st) != 0 || (st.valid & needed) != needed)
            return hd__fail(err, HD_ERR_FORMAT, "%s: entry %llu has no name or no size", path, (unsigned long long)i);
        size_t n_name = strlen(st.name);
        bool is_folder = n_name > 0 && st.name[n_name - 1] == '/';
        if (!hd__path_is_below(hd__span(st.name, n_name - is_folder)) || is_link(archive, i))
            return hd__fail(err, HD_ERR_FORMAT, "%s: entry \"%.200s\" leads out of the archive", path, st.name);
        if (__builtin_add_overflow(total, st.size, &total) || total > HD_LIMIT_MODEL_BYTES)
            return hd__fail(err, HD_ERR_LIMIT, "%s: its files take more than the limit of %llu bytes", path,
                            HD_LIMIT_MODEL_BYTES);
        hd_remote_file file = {.path = st.name, .bytes = st.size, .index = i};
        if (!is_folder)
            HD_TRY(hd__file_list_add(all, &file, err));
    }
    return HD_OK;
}

/* Length of the path's folder, without the slash. */
static size_t folder_len(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? (size_t)(slash - path) : 0;
}

/* Whether folder a holds folder b, or is it. */
static bool holds(hd_span a, hd_span b)
{
    return a.len == 0 || (b.len >= a.len && memcmp(a.ptr, b.ptr, a.len) == 0 && (b.len == a.len || b.ptr[a.len] == '/'));
}

/* Whether a file says that its folder is a model. */
static bool marks_model(const char *path, hd_span *folder)
{
    size_t n = folder_len(path);
    const char *name = path + n + (n > 0);
    *folder = hd__span(path, n);
    return strcmp(name, "config.json") == 0 || strcmp(name, "modules.json") == 0;
}

/* The outermost of the folders that are models, among those outside of `but`; ptr NULL when there is none. */
static hd_span outermost_model(const hd_file_list *all, const hd_span *but)
{
    hd_span found = {0}, folder;
    for (size_t i = 0; i < all->n; i++) {
        if (!marks_model(all->files[i].path, &folder) || (but != NULL && holds(*but, folder)))
            continue;
        if (found.ptr == NULL || holds(folder, found))
            found = folder;
    }
    return found;
}

static hd_status find_model(const hd_file_list *all, hd_span *model, hd_error *err)
{
    hd_span first = outermost_model(all, NULL);
    if (first.ptr == NULL)
        return hd__fail(err, HD_ERR_NOT_FOUND, "%s: no folder in it has a config.json", all->source);
    hd_span second = outermost_model(all, &first);
    if (second.ptr != NULL)
        return hd__fail(err, HD_ERR_ARG, "%s: holds several models, \"%.*s\" and \"%.*s\" among them: say which folder",
                        all->source, (int)first.len, first.ptr, (int)second.len, second.ptr);
    *model = first;
    return HD_OK;
}

typedef struct archive_source {
    zip_t *archive;
    const char *path;
} archive_source;

static hd_status copy_entry(zip_file_t *from, const hd_remote_file *file, hd_file_writer *writer, char *block,
                            hd_pull_meter *meter, hd_error *err)
{
    uint64_t bytes = 0;
    zip_int64_t n;
    while ((n = zip_fread(from, block, COPY_BYTES)) > 0) {
        bytes += (uint64_t)n;
        if (bytes > file->bytes)
            return hd__fail(err, HD_ERR_FORMAT, "%s: longer than the archive says (%llu bytes)", file->path,
                            (unsigned long long)file->bytes);
        hd__file_writer_add(writer, hd__span(block, (size_t)n));
        HD_TRY(hd__meter_set(meter, bytes, err));
    }
    if (n < 0)
        return hd__fail(err, HD_ERR_FORMAT, "%s: %s", file->path, zip_error_strerror(zip_file_get_error(from)));
    if (bytes != file->bytes)
        return hd__fail(err, HD_ERR_FORMAT, "%s: %llu bytes, the archive says %llu", file->path, (unsigned long long)bytes,
                        (unsigned long long)file->bytes);
    return HD_OK;
}

static hd_status extract(void *data, hd_remote_file *file, const char *to, hd_pull_meter *meter, hd_error *err)
{
    archive_source *source = data;
    hd_file_writer writer;
    zip_file_t *from = zip_fopen_index(source->archive, file->index, 0);
    if (from == NULL)
        return hd__fail(err, HD_ERR_FORMAT, "%s: %s: %s", source->path, file->path,
                        zip_error_strerror(zip_get_error(source->archive)));
    char *block = hd__malloc(COPY_BYTES);
    hd_status status = block != NULL ? hd__file_writer_open(&writer, to, err)
                                     : hd__fail(err, HD_ERR_MEMORY, "%s: no memory to unpack it", file->path);
    if (status == HD_OK) {
        status = copy_entry(from, file, &writer, block, meter, err);
        if (status == HD_OK)
            status = hd__file_writer_commit(&writer, err);
        else
            hd__file_writer_abandon(&writer);
    }
    hd__free(block);
    zip_fclose(from);
    return status;
}

/* Lists the files below `model` by their paths from there. */
static hd_status list_model(const hd_file_list *all, hd_span model, hd_file_list *list, hd_error *err)
{
    for (size_t i = 0; i < all->n; i++) {
        hd_remote_file file = all->files[i];
        hd_span folder = hd__span(file.path, folder_len(file.path));
        if (!holds(model, folder))
            continue;
        file.path += model.len + (model.len > 0);
        HD_TRY(hd__file_list_add(list, &file, err));
    }
    return HD_OK;
}

hd_status hd__archive_source_open(hd_pull_source *source, const char *path, const char *subfolder, hd_arena *arena,
                                  hd_error *err)
{
    hd_file_list all = {.arena = arena, .source = path};
    hd_span model = subfolder != NULL ? hd__span_of(subfolder) : hd__span("", 0);
    archive_source *data = hd__arena_calloc(arena, 1, sizeof *data);
    if (data == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory to open it", path);
    data->path = path;
    HD_TRY(open_archive(path, arena, &data->archive, err));
    HD_TRY(list_archive(data->archive, path, &all, err));
    while (model.len > 0 && model.ptr[model.len - 1] == '/')
        model.len--;
    if (subfolder == NULL)
        HD_TRY(find_model(&all, &model, err));
    *source = (hd_pull_source){.files = {.arena = arena, .source = path}, .fetch = extract, .data = data};
    HD_TRY(list_model(&all, model, &source->files, err));
    if (source->files.n == 0)
        return hd__fail(err, HD_ERR_NOT_FOUND, "%s: nothing in a folder \"%.*s\"", path, (int)model.len, model.ptr);
    return HD_OK;
}
