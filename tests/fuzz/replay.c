/* replay.c - libFuzzer's main() for builds without it: hands every file of the folders named to the fuzzer once. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each input in a block of its own size, so that a sanitizer sees the first byte read past it. */
static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0)
        return -1;
    long size = ftell(file);
    rewind(file);
    uint8_t *data = size >= 0 ? malloc(size > 0 ? (size_t)size : 1) : NULL;
    int failed = data == NULL || fread(data, 1, (size_t)size, file) != (size_t)size ? -1 : 0;
    if (failed == 0)
        LLVMFuzzerTestOneInput(data, (size_t)size);
    free(data);
    fclose(file);
    return failed;
}

int main(int argc, char **argv)
{
    int n_files = 0;
    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        const struct dirent *entry;
        while (dir != NULL && (entry = readdir(dir)) != NULL) {
            char path[4096];
            int n = snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
            if (entry->d_name[0] == '.' || n < 0 || (size_t)n >= sizeof path)
                continue;
            if (replay_file(path) != 0) {
                fprintf(stderr, "%s: cannot be read\n", path);
                return 1;
            }
            n_files++;
        }
        if (dir != NULL)
            closedir(dir);
    }
    printf("%d inputs\n", n_files);
    return n_files > 0 ? 0 : 1;
}
