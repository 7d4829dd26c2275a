/* host_plugin.c - see host_plugin.h. Devices, memory, failures; what operations compute is in host_operations.c. */
#include "host_plugin.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host_operations.h"

#define DEVICE_BIT ((uintptr_t)1 << 50) /* no processor's addresses of user space reach so far */
#define N_DEVICES 8
#define PATIENCE_S 10

typedef struct block {
    struct block *next;
    size_t bytes;
    void *memory;
} block;

struct hd_plugin_device {
    uint32_t index;
    uint64_t used_bytes;
    block *blocks;
    bool is_down; /* failed or lost */
};

struct hd_plugin_stream {
    hd_plugin_device *device;
    bool is_lost;    /* what is called is not done */
    bool is_working; /* something was called on it since it was waited for */
    hd_plugin_status status;
    char why[HD_PLUGIN_TEXT_BYTES];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows, and devices */
static const hd_plugin_host *host;
static host_plugin_orders orders = {.memory_bytes = (uint64_t)1 << 30};
static host_plugin_counts counts;
static pthread_cond_t more_work = PTHREAD_COND_INITIALIZER; /* most_working has grown */
static uint32_t n_refused_opens;

/* ---- failures ---- */

static void fail(hd_plugin_stream *s, hd_plugin_status status, const char *why)
{
    if (s->status != HD_PLUGIN_OK)
        return;
    s->status = status;
    snprintf(s->why, sizeof s->why, "%s", why);
}

/* Whether the next operation is to fail; with the lock. */
static bool is_due(void)
{
    counts.n_operations++;
    if (orders.fails == HD_PLUGIN_OK || orders.at == 0 || --orders.at > 0)
        return false;
    orders.at = orders.period;
    counts.n_failures++;
    return true;
}

/* With the lock. */
static void count_working(hd_plugin_stream *s)
{
    if (s->is_working)
        return;
    s->is_working = true;
    counts.n_working++;
    if (counts.n_working <= counts.most_working)
        return;
    counts.most_working = counts.n_working;
    pthread_cond_broadcast(&more_work);
}

/* Before every operation: whether it is to be done. */
static bool starts(hd_plugin_stream *s)
{
    if (s->status != HD_PLUGIN_OK || s->is_lost)
        return false;
    pthread_mutex_lock(&lock);
    count_working(s);
    if (s->device->is_down) {
        fail(s, HD_PLUGIN_LOST, "the device has failed before");
    } else if (is_due()) {
        fail(s, orders.fails, "told to fail");
        s->device->is_down = orders.fails != HD_PLUGIN_NO_MEMORY;
        n_refused_opens = s->device->is_down ? orders.n_opens : 0;
    }
    pthread_mutex_unlock(&lock);
    return s->status == HD_PLUGIN_OK;
}

/* The host's address of a device's; anything else is the caller's mistake. */
static void *home(hd_plugin_stream *s, const void *address)
{
    if (address != NULL && ((uintptr_t)address & DEVICE_BIT) == 0)
        fail(s, HD_PLUGIN_FAILED, "an operation was given an address of the host");
    return (void *)((uintptr_t)address & ~DEVICE_BIT);
}

/* ---- devices and memory ---- */

static hd_plugin_status open_device(uint32_t index, hd_plugin_device **out, char *why)
{
    hd_plugin_device *device = NULL;
    pthread_mutex_lock(&lock);
    counts.n_opens++;
    const bool refused = n_refused_opens > 0;
    n_refused_opens -= refused;
    pthread_mutex_unlock(&lock);
    if (refused) {
        snprintf(why, HD_PLUGIN_TEXT_BYTES, "the device does not come back yet");
        return HD_PLUGIN_LOST;
    }
    device = host->alloc(sizeof *device);
    if (device == NULL) {
        snprintf(why, HD_PLUGIN_TEXT_BYTES, "no memory of the host");
        return HD_PLUGIN_NO_MEMORY;
    }
    *device = (hd_plugin_device){.index = index};
    *out = device;
    return HD_PLUGIN_OK;
}

static void free_block(block *b)
{
    counts.n_allocated--;
    counts.allocated_bytes -= b->bytes;
    free(b->memory);
    host->free(b);
}

static void close_device(hd_plugin_device *device)
{
    pthread_mutex_lock(&lock);
    for (block *b = device->blocks, *next; b != NULL; b = next) {
        next = b->next;
        free_block(b);
    }
    pthread_mutex_unlock(&lock);
    host->free(device);
}

static void look(hd_plugin_device *device, hd_plugin_state *state)
{
    pthread_mutex_lock(&lock);
    *state = (hd_plugin_state){
        .memory_bytes = orders.memory_bytes,
        .free_bytes = orders.memory_bytes - device->used_bytes,
        .types = 1u << HD_PLUGIN_F32 | 1u << HD_PLUGIN_BF16 | 1u << HD_PLUGIN_I8 | 1u << HD_PLUGIN_F16 | 1u << HD_PLUGIN_F8,
        .utilisation_percent = 50,
        .temperature_c = 40,
        .clock_mhz = -1,
    };
    snprintf(state->name, sizeof state->name, "host memory %u", device->index);
    snprintf(state->driver, sizeof state->driver, "plain loops");
    pthread_mutex_unlock(&lock);
}

static hd_plugin_status alloc(hd_plugin_device *device, size_t bytes, void **address, char *why)
{
    const size_t rounded = (bytes + 255) & ~(size_t)255;
    hd_plugin_status status = HD_PLUGIN_NO_MEMORY;
    pthread_mutex_lock(&lock);
    block *b = host->alloc(sizeof *b);
    void *memory = b != NULL && bytes <= orders.memory_bytes - device->used_bytes ? aligned_alloc(256, rounded) : NULL;
    if (memory != NULL) {
        memset(memory, 0xff, rounded);
        *b = (block){.next = device->blocks, .bytes = bytes, .memory = memory};
        device->blocks = b;
        device->used_bytes += bytes;
        counts.n_allocated++;
        counts.allocated_bytes += bytes;
        *address = (void *)((uintptr_t)memory | DEVICE_BIT);
        status = HD_PLUGIN_OK;
    } else {
        host->free(b);
        snprintf(why, HD_PLUGIN_TEXT_BYTES, "%zu bytes do not fit", bytes);
    }
    pthread_mutex_unlock(&lock);
    return status;
}

static void free_memory(hd_plugin_device *device, void *address)
{
    pthread_mutex_lock(&lock);
    for (block **link = &device->blocks; *link != NULL; link = &(*link)->next) {
        block *b = *link;
        if (((uintptr_t)b->memory | DEVICE_BIT) != (uintptr_t)address)
            continue;
        *link = b->next;
        device->used_bytes -= b->bytes;
        free_block(b);
        break;
    }
    pthread_mutex_unlock(&lock);
}

static bool pin(hd_plugin_device *device, void *memory, size_t bytes)
{
    (void)device, (void)memory, (void)bytes;
    pthread_mutex_lock(&lock);
    const bool pins = !orders.pins_nothing;
    counts.n_pinned += pins;
    counts.n_pins += pins;
    pthread_mutex_unlock(&lock);
    return pins;
}

static void unpin(hd_plugin_device *device, void *memory)
{
    (void)device, (void)memory;
    pthread_mutex_lock(&lock);
    counts.n_pinned--;
    pthread_mutex_unlock(&lock);
}

/* ---- streams ---- */

static hd_plugin_status stream_open(hd_plugin_device *device, hd_plugin_stream **out, char *why)
{
    hd_plugin_stream *stream = host->alloc(sizeof *stream);
    if (stream == NULL) {
        snprintf(why, HD_PLUGIN_TEXT_BYTES, "no memory of the host");
        return HD_PLUGIN_NO_MEMORY;
    }
    *stream = (hd_plugin_stream){.device = device};
    *out = stream;
    pthread_mutex_lock(&lock);
    counts.n_streams++;
    pthread_mutex_unlock(&lock);
    return HD_PLUGIN_OK;
}

static void stop_working(hd_plugin_stream *s)
{
    counts.n_working -= s->is_working;
    s->is_working = false;
}

static void stream_close(hd_plugin_stream *stream)
{
    pthread_mutex_lock(&lock);
    stop_working(stream);
    counts.n_streams--;
    pthread_mutex_unlock(&lock);
    host->free(stream);
}

static hd_plugin_status wait(hd_plugin_stream *s, char *why)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&lock);
    while (counts.most_working < orders.n_together && pthread_cond_timedwait(&more_work, &lock, &end) == 0)
        continue;
    stop_working(s);
    pthread_mutex_unlock(&lock);
    const hd_plugin_status status = s->status;
    memcpy(why, s->why, sizeof s->why);
    s->status = HD_PLUGIN_OK;
    s->why[0] = '\0';
    return status;
}

static void upload(hd_plugin_stream *s, void *address, const void *from, size_t bytes)
{
    void *to = home(s, address);
    if (starts(s))
        memcpy(to, from, bytes);
}

static void download(hd_plugin_stream *s, void *to, const void *address, size_t bytes)
{
    const void *from = home(s, address);
    if (starts(s))
        memcpy(to, from, bytes);
}

static void clear(hd_plugin_stream *s, void *address, size_t bytes)
{
    void *to = home(s, address);
    if (starts(s))
        memset(to, 0, bytes);
}

/* Nothing is ever recorded, but what is asked for may be lost. */
static bool replay(hd_plugin_stream *s, const hd_plugin_key *key)
{
    (void)key;
    pthread_mutex_lock(&lock);
    s->is_lost = orders.n_lost > 0;
    orders.n_lost -= s->is_lost;
    pthread_mutex_unlock(&lock);
    return false;
}

static bool recorded(hd_plugin_stream *s)
{
    const bool is_done = !s->is_lost;
    s->is_lost = false;
    return is_done;
}

/* ---- operations: their addresses made the host's ---- */

#define HOME(pointer) ((pointer) = home(s, (pointer)))

static void home_act(hd_plugin_stream *s, hd_plugin_act *act)
{
    HOME(act->data);
    HOME(act->scale);
    HOME(act->offset);
}

static void embed(hd_plugin_stream *s, const hd_plugin_embed *given)
{
    hd_plugin_embed t = *given;
    HOME(t.words), HOME(t.word_scale), HOME(t.position_rows), HOME(t.type_rows);
    HOME(t.ids), HOME(t.positions), HOME(t.types), HOME(t.x);
    if (starts(s))
        host_embed(&t);
}

static void change_rows(hd_plugin_stream *s, const hd_plugin_change_rows *given)
{
    hd_plugin_change_rows t = *given;
    HOME(t.low), HOME(t.lift), HOME(t.ids), HOME(t.x);
    if (starts(s))
        host_change_rows(&t);
}

static void norm(hd_plugin_stream *s, const hd_plugin_norm *given)
{
    hd_plugin_norm t = *given;
    HOME(t.gamma), HOME(t.beta), HOME(t.x), home_act(s, &t.act);
    if (starts(s))
        host_norm(&t);
}

static void convert(hd_plugin_stream *s, const hd_plugin_convert *given)
{
    hd_plugin_convert t = *given;
    HOME(t.x), home_act(s, &t.act);
    if (starts(s))
        host_convert(&t);
}

static void linear(hd_plugin_stream *s, const hd_plugin_linear *given)
{
    hd_plugin_linear t = *given;
    HOME(t.weights.rows), HOME(t.weights.bias), HOME(t.weights.scale), HOME(t.weights.channel_sum);
    HOME(t.low), HOME(t.lift), HOME(t.out), home_act(s, &t.in);
    if (starts(s))
        host_linear(&t);
}

static void rotate(hd_plugin_stream *s, const hd_plugin_rotate *given)
{
    hd_plugin_rotate t = *given;
    HOME(t.x), HOME(t.cos), HOME(t.sin), HOME(t.positions), HOME(t.gamma);
    if (starts(s))
        host_rotate(&t);
}

static void attention(hd_plugin_stream *s, const hd_plugin_attention *given)
{
    hd_plugin_attention t = *given;
    HOME(t.q), HOME(t.k), HOME(t.v), HOME(t.q_begin), HOME(t.kv_begin), HOME(t.q_first), HOME(t.n_seen), HOME(t.bias);
    HOME(t.out);
    if (starts(s))
        host_attention(&t);
}

static void pick(hd_plugin_stream *s, const hd_plugin_pick *given)
{
    hd_plugin_pick t = *given;
    HOME(t.begin), HOME(t.skip), HOME(t.positions), HOME(t.x), HOME(t.picked_x), HOME(t.picked_begin);
    HOME(t.picked_positions), home_act(s, &t.in), home_act(s, &t.picked_in);
    if (starts(s))
        host_pick(&t);
}

static void copy(hd_plugin_stream *s, const hd_plugin_copy *given)
{
    hd_plugin_copy t = *given;
    HOME(t.from), HOME(t.to);
    if (starts(s))
        host_copy(&t);
}

static void pool(hd_plugin_stream *s, const hd_plugin_pool *given)
{
    hd_plugin_pool t = *given;
    HOME(t.x), HOME(t.begin), HOME(t.end), HOME(t.skip), HOME(t.out);
    if (starts(s))
        host_pool(&t);
}

static void unit(hd_plugin_stream *s, const hd_plugin_unit *given)
{
    hd_plugin_unit t = *given;
    HOME(t.from), HOME(t.to);
    if (starts(s))
        host_unit(&t);
}

static void collect(hd_plugin_stream *s, const hd_plugin_vocab_pool *given)
{
    hd_plugin_vocab_pool t = *given;
    HOME(t.logits), HOME(t.begin), HOME(t.weights);
    if (starts(s))
        host_collect(&t);
}

static void weigh(hd_plugin_stream *s, const hd_plugin_vocab_pool *given)
{
    hd_plugin_vocab_pool t = *given;
    HOME(t.begin), HOME(t.weights);
    if (starts(s))
        host_weigh(&t);
}

/* ---- the entry ---- */

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static void read_orders(void)
{
    static const char *const names[] = {
        [HD_PLUGIN_NO_MEMORY] = "memory", [HD_PLUGIN_FAILED] = "failed", [HD_PLUGIN_LOST] = "lost"};
    const char *text = getenv("HOST_PLUGIN_FAIL");
    char how[16] = "";
    unsigned long long at = 0, period = 0;
    unsigned n_opens = 0;
    orders.memory_bytes = number("HOST_PLUGIN_MEMORY", orders.memory_bytes);
    if (text == NULL || sscanf(text, "%15[a-z]:%llu:%llu:%u", how, &at, &period, &n_opens) != 4)
        return;
    for (int i = HD_PLUGIN_NO_MEMORY; i <= HD_PLUGIN_LOST; i++)
        orders.fails = strcmp(how, names[i]) == 0 ? (hd_plugin_status)i : orders.fails;
    orders.at = at;
    orders.period = period;
    orders.n_opens = n_opens;
}

__attribute__((visibility("default"))) host_plugin_control_fn host_plugin_control;
void host_plugin_control(const host_plugin_orders *new_orders, host_plugin_counts *out)
{
    pthread_mutex_lock(&lock);
    if (new_orders != NULL) {
        orders = *new_orders;
        n_refused_opens = 0;
        counts.most_working = counts.n_working;
    }
    if (out != NULL)
        *out = counts;
    pthread_mutex_unlock(&lock);
}

const hd_plugin *hd_plugin_begin(const hd_plugin_host *given, char *why)
{
    static hd_plugin table = {
        .version = HD_PLUGIN_VERSION,
        .size = sizeof table,
        .open = open_device,
        .close = close_device,
        .look = look,
        .alloc = alloc,
        .free = free_memory,
        .pin = pin,
        .unpin = unpin,
        .stream_open = stream_open,
        .stream_close = stream_close,
        .wait = wait,
        .upload = upload,
        .download = download,
        .clear = clear,
        .replay = replay,
        .recorded = recorded,
        .embed = embed,
        .change_rows = change_rows,
        .norm = norm,
        .convert = convert,
        .linear = linear,
        .rotate = rotate,
        .attention = attention,
        .pick = pick,
        .copy = copy,
        .pool = pool,
        .unit = unit,
        .collect = collect,
        .weigh = weigh,
    };
    const char *begin = getenv("HOST_PLUGIN_BEGIN");
    begin = begin != NULL ? begin : "";
    pthread_mutex_lock(&lock);
    if (host == NULL)
        read_orders();
    host = given;
    table.n_devices = strcmp(begin, "none") == 0 ? 0 : (uint32_t)number("HOST_PLUGIN_DEVICES", 1);
    table.n_devices = table.n_devices < N_DEVICES ? table.n_devices : N_DEVICES;
    table.version = HD_PLUGIN_VERSION + (strcmp(begin, "version") == 0);
    table.size = strcmp(begin, "size") == 0 ? 64 : sizeof table;
    pthread_mutex_unlock(&lock);
    if (strcmp(begin, "missing") != 0)
        return &table;
    snprintf(why, HD_PLUGIN_TEXT_BYTES, "the driver found is 1.0, and 2.0 is needed");
    return NULL;
}
