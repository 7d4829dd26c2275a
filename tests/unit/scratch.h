/* scratch.h - a temporary folder for a test, and files in it. */
#ifndef HD_TESTS_SCRATCH_H
#define HD_TESTS_SCRATCH_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct scratch {
    char dir[64];
} scratch;

static inline void scratch_begin(scratch *s)
{
    strcpy(s->dir, "/tmp/heddle-test.XXXXXX");
    if (mkdtemp(s->dir) == NULL)
        abort();
}

static inline int scratch_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

/* Removes a folder with all that is in it. */
static inline void scratch_wipe(const char *dir)
{
    nftw(dir, scratch_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void scratch_end(scratch *s)
{
    scratch_wipe(s->dir);
}

/* The full path of a file; valid for seven more calls. */
static inline const char *scratch_path(scratch *s, const char *file)
{
    static char paths[8][4096];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s%s%s", s->dir, file[0] != '\0' ? "/" : "", file);
    return path;
}

/* Writes a file, making its folders. */
static inline const char *scratch_write(scratch *s, const char *file, const void *bytes, size_t n)
{
    const char *path = scratch_path(s, file);
    char part[4096];
    for (size_t i = strlen(s->dir) + 1; path[i] != '\0'; i++) {
        if (path[i] != '/')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        mkdir(part, 0777);
    }
    FILE *f = fopen(path, "wb");
    if (f == NULL || (n > 0 && fwrite(bytes, 1, n, f) != n) || fclose(f) != 0)
        abort();
    return path;
}

static inline const char *scratch_text(scratch *s, const char *file, const char *text)
{
    return scratch_write(s, file, text, strlen(text));
}

#endif
