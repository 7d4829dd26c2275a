/* store_crash.c - a writer is killed at random points, again and again, and after each kill all that it acknowledged is
 * there.
 *
 *     store_crash KILLS [SEED]
 *
 * The writer says on a pipe what it is about to commit, commits, and says that it has. It puts documents anew, removes some,
 * compacts, and builds the graph. Killed with SIGKILL at a random time (also while it makes the file), it leaves a store of
 * which the following must hold: each document is as the last acknowledged commit left it, or, all of them together, as the
 * commit under way would have; each has all of its chunks, found by words and by vectors, and no other; hd__store_check
 * finds nothing.
 */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/document.h"
#include "store/legs.h"
#include "store/maintain.h"
#include "store/store_int.h"
#include "unit/scratch.h"

enum { N_DOCUMENTS = 40, MAX_CHANGES = 6, MAX_CHUNKS = 9, WIDTH = 16, MAX_DELAY_US = 100000, KILLS_OF_A_FILE = 50 };

/* What every document is: 0 when it is not there, else what its texts and vectors are made from. */
typedef struct model {
    uint32_t versions[N_DOCUMENTS];
} model;

typedef struct change {
    uint32_t document, version;
} change;

/* One write to the pipe, so it is there whole or not at all. */
typedef struct message {
    uint32_t n; /* changes that are about to be committed; 0: they have been */
    change changes[MAX_CHANGES];
} message;

static hd_error err;
static const char *path;
static uint64_t random_state;

static uint32_t random_below(uint32_t n) /* xorshift64* */
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * 0x2545f4914f6cdd1d) >> 32) % n;
}

static void fail(const char *what)
{
    fprintf(stderr, "store_crash: %s: %s\n", what, err.text);
    exit(1);
}

/* ---- documents -------------------------------------------------------------------------------------------- */

static size_t chunks_of(uint32_t version)
{
    return 1 + version % MAX_CHUNKS;
}

static void write_vector(uint32_t document, uint32_t version, size_t chunk, float vector[WIDTH])
{
    memset(vector, 0, WIDTH * sizeof *vector);
    vector[document % WIDTH] = 1.0f;
    vector[version % WIDTH] += 0.5f;
    vector[chunk % WIDTH] += 0.25f;
}

static float product(const float a[WIDTH], const float b[WIDTH])
{
    float sum = 0.0f;
    for (size_t i = 0; i < WIDTH; i++)
        sum += a[i] * b[i];
    return sum;
}

static void write_text(uint32_t document, uint32_t version, size_t chunk, char text[128])
{
    snprintf(text, 128, "document%u version%u chunk%zu of the words in each", document, version, chunk);
}

static hd_status put(hd_write *write, uint32_t document, uint32_t version)
{
    char id[32], texts[MAX_CHUNKS][128];
    float vectors[MAX_CHUNKS][WIDTH];
    hd_chunk_row chunks[MAX_CHUNKS] = {0};
    hd_chunk_vectors found_by[MAX_CHUNKS] = {0};
    const size_t n = chunks_of(version);
    for (size_t i = 0; i < n; i++) {
        write_text(document, version, i, texts[i]);
        write_vector(document, version, i, vectors[i]);
        chunks[i] = (hd_chunk_row){
            .key = "", .section = "", .text = hd__span_of(texts[i]), .ordinal = (uint32_t)i, .is_code = i % 2 == 0};
        found_by[i] = (hd_chunk_vectors){.dense = vectors[i]};
    }
    snprintf(id, sizeof id, "d%u", document);
    const hd_document_row row = {.id = id,
                                 .source = "",
                                 .root = "",
                                 .path = "",
                                 .title = "",
                                 .url = "",
                                 .author = "",
                                 .mime = "",
                                 .metadata = "{}",
                                 .cut = ""};
    return hd__document_put(write, &row, chunks, found_by, n, &err);
}

static hd_store *open_store(void)
{
    const hd_identity identity = {.model = "m", .fingerprint = "f", .similarity = "cosine", .n_dimensions = WIDTH};
    hd_store *store = NULL;
    if (hd__store_open(path, &(hd_store_options){.create = true, .identity = &identity}, &store, &err) != HD_OK)
        fail("cannot open");
    return store;
}

/* ---- the writer ------------------------------------------------------------------------------------------- */

static void tell(int fd, const message *m)
{
    if (write(fd, m, sizeof *m) != (ssize_t)sizeof *m)
        _exit(0); /* nobody listens any more */
}

static void commit_changes(hd_store *store, int fd, uint32_t *next_version)
{
    message m = {.n = 1 + random_below(MAX_CHANGES)};
    hd_write *write;
    if (hd__write_begin(store, &write, &err) != HD_OK)
        fail("cannot begin");
    for (uint32_t i = 0; i < m.n; i++) {
        m.changes[i] = (change){random_below(N_DOCUMENTS), random_below(4) > 0 ? (*next_version)++ : 0};
        char id[32];
        bool removed;
        snprintf(id, sizeof id, "d%u", m.changes[i].document);
        if ((m.changes[i].version != 0 ? put(write, m.changes[i].document, m.changes[i].version)
                                       : hd__document_remove(write, id, &removed, &err)) != HD_OK)
            fail("cannot change");
    }
    tell(fd, &m);
    if (hd__write_commit(write, &err) != HD_OK)
        fail("cannot commit");
    tell(fd, &(message){.n = 0});
}

/* So small a store has a graph only if it is told to. */
static void build_graph(hd_store *store)
{
    hd_snapshot *snapshot;
    if (hd__snapshot_begin(store, &snapshot, &err) != HD_OK)
        fail("cannot read");
    hd_vectors_tuning tuning = hd__vectors_tuning;
    tuning.scan_max = 10;
    tuning.tail_max = 5;
    hd__vectors_tune(snapshot->layout->vectors, &tuning);
    hd__snapshot_end(snapshot);
    if (hd__store_build_graph(store, NULL, NULL, &err) != HD_OK)
        fail("cannot build the graph");
}

static void run_writer(int fd, uint32_t next_version)
{
    hd_store *store = open_store();
    for (;;) {
        const uint32_t what = random_below(24);
        if (what == 0 && hd__store_compact(store, &err) != HD_OK)
            fail("cannot compact");
        else if (what <= 2)
            build_graph(store);
        else
            commit_changes(store, fd, &next_version);
    }
}

/* ---- after the kill --------------------------------------------------------------------------------------- */

static uint32_t largest_version; /* that was ever told of */

/* What was acknowledged goes into `acknowledged`, what was under way, if anything, into `under_way` too. */
static void read_messages(int fd, model *acknowledged, model *under_way)
{
    message m;
    ssize_t n;
    *under_way = *acknowledged;
    while ((n = read(fd, &m, sizeof m)) > 0) {
        if (n != (ssize_t)sizeof m)
            fail("half a message");
        if (m.n == 0)
            *acknowledged = *under_way;
        for (uint32_t i = 0; i < m.n; i++) {
            under_way->versions[m.changes[i].document] = m.changes[i].version;
            largest_version = m.changes[i].version > largest_version ? m.changes[i].version : largest_version;
        }
    }
}

static void note_fault(hd_part part, const char *what, void *data)
{
    (void)part;
    snprintf(err.text, sizeof err.text, "%s", what);
    *(bool *)data = true;
}

/* The document's version in the store, from its first chunk's text; the others must be of the same. */
static uint32_t version_in(hd_snapshot *snapshot, uint32_t document, hd_arena *arena)
{
    char id[32], text[128];
    hd_chunk_row *chunks;
    size_t n, n_found;
    uint32_t version = 0;
    snprintf(id, sizeof id, "d%u", document);
    if (hd__document_chunks(snapshot, id, arena, &chunks, &n, &err) != HD_OK)
        fail("cannot read chunks");
    if (n == 0)
        return 0;
    version = (uint32_t)strtoul(strstr(chunks[0].text.ptr, "version") + strlen("version"), NULL, 10);
    if (n != chunks_of(version))
        fail("a document lacks chunks, or has too many");
    hd_ranked ranked[2 * MAX_CHUNKS];
    snprintf(text, sizeof text, "version%u", version);
    if (hd__leg_bm25(snapshot, hd__span_of(text), 2 * MAX_CHUNKS, NULL, ranked, &n_found, &err) != HD_OK)
        fail("cannot search words");
    if (n_found != n)
        fail("words do not find the document's chunks, and no others");
    for (size_t i = 0; i < n; i++) {
        float expected[WIDTH], kept[WIDTH];
        write_text(document, version, i, text);
        write_vector(document, version, i, expected);
        if (!hd__span_is(chunks[i].text, text))
            fail("a chunk has another text");
        if (hd__leg_vectors(snapshot, &chunks[i].id, 1, kept, &err) != HD_OK)
            fail("cannot read a vector");
        if (product(expected, kept) < 0.999f * sqrtf(product(expected, expected))) /* the kept one is of length 1 */
            fail("a chunk has another vector");
        if (hd__leg_dense(snapshot, expected, 2 * MAX_CHUNKS, NULL, false, ranked, &n_found, &err) != HD_OK)
            fail("cannot search vectors");
        if (n_found == 0 || ranked[0].score < 0.999f)
            fail("its vector does not find a chunk");
    }
    return version;
}

/* A writer that was killed before its file had tables leaves none, or an empty one. */
static bool was_never_made(const model *acknowledged, hd_status status)
{
    const model nothing = {0};
    return memcmp(acknowledged, &nothing, sizeof nothing) == 0 && status == HD_ERR_NOT_FOUND;
}

static void check_store(model *acknowledged, const model *under_way)
{
    bool faulty = false;
    const hd_status status = hd__store_check(path, note_fault, &faulty, &err);
    if (faulty || (status != HD_OK && !was_never_made(acknowledged, status)))
        fail("the check finds a fault");
    hd_store *store = open_store();
    hd_snapshot *snapshot;
    if (hd__snapshot_begin(store, &snapshot, &err) != HD_OK)
        fail("cannot read");
    model found;
    for (uint32_t i = 0; i < N_DOCUMENTS; i++) {
        hd_arena arena;
        hd__arena_init(&arena);
        found.versions[i] = version_in(snapshot, i, &arena);
        hd__arena_clear(&arena);
    }
    if (memcmp(&found, acknowledged, sizeof found) != 0 && memcmp(&found, under_way, sizeof found) != 0)
        fail("what is there is neither what was acknowledged nor that with what was under way");
    *acknowledged = found;
    hd__snapshot_end(snapshot);
    hd__store_close(store);
}

/* One writer's life; false when it has died of itself. */
static bool run_and_kill(model *acknowledged, model *under_way)
{
    int fds[2];
    if (pipe(fds) != 0)
        fail("cannot make a pipe");
    const uint32_t delay_us = random_below(MAX_DELAY_US);
    const pid_t child = fork();
    if (child == 0) {
        close(fds[0]);
        run_writer(fds[1], largest_version + 1);
    }
    close(fds[1]);
    nanosleep(&(struct timespec){.tv_nsec = (long)delay_us * 1000}, NULL);
    kill(child, SIGKILL);
    int status;
    waitpid(child, &status, 0);
    read_messages(fds[0], acknowledged, under_way);
    close(fds[0]);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

int main(int argc, char **argv)
{
    const uint32_t n_kills = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 500;
    const uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : hd__now_ns() | 1;
    printf("store_crash: %u kills, seed %llu\n", n_kills, (unsigned long long)seed);
    fflush(stdout);
    random_state = seed;
    scratch s;
    scratch_begin(&s);
    char db[sizeof s.dir + 8];
    snprintf(db, sizeof db, "%s/db", s.dir);
    path = db;
    model acknowledged = {0}, under_way;
    uint64_t n_under_way = 0;
    for (uint32_t i = 0; i < n_kills; i++) {
        if (i % KILLS_OF_A_FILE == 0) { /* a new file, whose making is killed, too */
            scratch_wipe(s.dir);
            if (mkdir(s.dir, 0777) != 0)
                fail("cannot make a folder");
            memset(&acknowledged, 0, sizeof acknowledged);
        }
        random_state += i; /* the child's numbers went with it */
        if (!run_and_kill(&acknowledged, &under_way))
            fail("the writer ended by itself");
        n_under_way += memcmp(&acknowledged, &under_way, sizeof under_way) != 0;
        check_store(&acknowledged, &under_way);
    }
    scratch_end(&s);
    printf("store_crash: well after every one; %llu were in the middle of a commit\n", (unsigned long long)n_under_way);
    return 0;
}
