/* package.c - see package.h. */
#include "ingest/package.h"

#include "base/alloc.h"
#include "base/limits.h"

hd_status hd__package_open(hd_span bytes, hd_arena *arena, hd_package *package, hd_error *err)
{
    zip_error_t why;
    zip_error_init(&why);
    *package = (hd_package){.arena = arena};
    zip_source_t *source = zip_source_buffer_create(bytes.ptr, bytes.len, 0, &why);
    package->zip = source != NULL ? zip_open_from_source(source, ZIP_RDONLY, &why) : NULL;
    if (package->zip == NULL) {
        hd_status status = zip_error_code_zip(&why) == ZIP_ER_MEMORY ? HD_ERR_MEMORY : HD_ERR_FORMAT;
        hd__fail(err, status, "the zip archive is damaged: %s", zip_error_strerror(&why));
        zip_source_free(source);
        zip_error_fini(&why);
        return status;
    }
    zip_error_fini(&why);
    zip_int64_t n = zip_get_num_entries(package->zip, 0);
    if (n <= (zip_int64_t)HD_LIMIT_ARCHIVE_ENTRIES)
        return HD_OK;
    hd__package_close(package);
    return hd__fail(err, HD_ERR_LIMIT, "%lld entries in the archive, at most %u are allowed", (long long)n,
                    HD_LIMIT_ARCHIVE_ENTRIES);
}

void hd__package_close(hd_package *package)
{
    if (package->zip != NULL)
        zip_discard(package->zip);
    package->zip = NULL;
}

bool hd__package_has(const hd_package *package, const char *part)
{
    return zip_name_locate(package->zip, part, ZIP_FL_ENC_GUESS) >= 0;
}

static hd_status check(const hd_package *package, const char *part, const zip_stat_t *about, hd_error *err)
{
    if ((about->valid & ZIP_STAT_SIZE) == 0 || (about->valid & ZIP_STAT_COMP_SIZE) == 0)
        return hd__fail(err, HD_ERR_FORMAT, "the archive does not say how large %s is", part);
    if ((about->valid & ZIP_STAT_ENCRYPTION_METHOD) && about->encryption_method != ZIP_EM_NONE)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s is encrypted", part);
    if (about->size > HD_LIMIT_ARCHIVE_ENTRY_BYTES)
        return hd__fail(err, HD_ERR_LIMIT, "%s unpacks to %llu bytes, at most %u are read", part,
                        (unsigned long long)about->size, HD_LIMIT_ARCHIVE_ENTRY_BYTES);
    if (about->size > 1u << 20 && about->size / HD_LIMIT_ARCHIVE_RATIO > about->comp_size)
        return hd__fail(err, HD_ERR_LIMIT, "%s unpacks to more than %u times its size", part, HD_LIMIT_ARCHIVE_RATIO);
    if (package->n_unpacked + about->size > HD_LIMIT_ARCHIVE_UNPACKED_BYTES)
        return hd__fail(err, HD_ERR_LIMIT, "its parts unpack to more than %u bytes", HD_LIMIT_ARCHIVE_UNPACKED_BYTES);
    return HD_OK;
}

hd_status hd__package_read(hd_package *package, const char *part, hd_span *bytes, hd_error *err)
{
    zip_stat_t about;
    zip_stat_init(&about);
    zip_int64_t index = zip_name_locate(package->zip, part, ZIP_FL_ENC_GUESS);
    if (index < 0 || zip_stat_index(package->zip, (zip_uint64_t)index, 0, &about) != 0)
        return hd__fail(err, HD_ERR_FORMAT, "the archive has no %.200s", part);
    HD_TRY(check(package, part, &about, err));
    char *to = hd__arena_alloc(package->arena, (size_t)about.size + 1);
    if (to == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %llu bytes of %s", (unsigned long long)about.size, part);
    zip_file_t *file = zip_fopen_index(package->zip, (zip_uint64_t)index, 0);
    zip_int64_t n = file != NULL ? zip_fread(file, to, about.size + 1) : -1; /* one more, to see that there is none */
    if (file != NULL)
        zip_fclose(file);
    package->n_unpacked += about.size;
    if (n < 0 || (zip_uint64_t)n != about.size)
        return hd__fail(err, HD_ERR_FORMAT, "%s is damaged in the archive", part);
    *bytes = hd__span(to, (size_t)about.size);
    return HD_OK;
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

const char *hd__package_name(hd_arena *arena, const char *from, const char *target)
{
    const char *slash = strrchr(from, '/');
    size_t base = target[0] == '/' || slash == NULL ? 0 : (size_t)(slash + 1 - from), len = strcspn(target, "#");
    char *name = hd__arena_alloc(arena, hd__add(hd__add(base, len), 1));
    if (name == NULL)
        return NULL;
    memcpy(name, from, base);
    size_t n = base;
    for (size_t at = target[0] == '/'; at < len;) {
        size_t end = at;
        while (end < len && target[end] != '/')
            end++;
        size_t part = end - at;
        if (part == 2 && memcmp(target + at, "..", 2) == 0) { /* up; out of the archive is its root */
            n -= n > 0;
            while (n > 0 && name[n - 1] != '/')
                n--;
        } else if (part > 0 && !(part == 1 && target[at] == '.')) {
            for (size_t i = at; i < end; i++) {
                int high = i + 2 < end && target[i] == '%' ? hex(target[i + 1]) : -1,
                    low = high >= 0 ? hex(target[i + 2]) : -1;
                bool escaped = low >= 0 && high + low > 0;
                name[n++] = escaped ? (char)(high * 16 + low) : target[i];
                i += escaped ? 2 : 0;
            }
            if (end < len)
                name[n++] = '/';
        }
        at = end + 1;
    }
    name[n] = '\0';
    return name;
}
