/* pickle.c - see pickle.h. */
#include "model/pickle.h"

#include "base/alloc.h"

typedef enum kind {
    NONE, /* and floats, which tensors do not need */
    BOOL,
    INT,
    TEXT,
    TUPLE,
    LIST,
    DICT, /* items: key, value, key, value, … */
    GLOBAL,
    STORAGE,
    TENSOR,
} kind;

typedef enum global {
    ORDERED_DICT,
    REBUILD_TENSOR,
    REBUILD_PARAMETER,
    STORAGE_TYPE,
} global;

typedef struct items items;

typedef struct value {
    kind kind;
    global global;                  /* GLOBAL */
    hd_tensor_type type;            /* GLOBAL of a storage's type */
    int64_t number;                 /* BOOL, INT */
    hd_span text;                   /* TEXT */
    items *items;                   /* TUPLE, LIST, DICT */
    const hd_pickle_tensor *tensor; /* TENSOR; STORAGE: with type, key and n_stored alone */
} value;

struct items {
    value *values; /* [n], on the arena */
    size_t n, capacity;
};

typedef struct machine {
    hd_cursor in;
    hd_span bytes;
    const char *file;
    hd_arena *arena;
    hd_error *err;
    items stack, memo;
    items marks; /* INT: heights of the stack */
} machine;

static hd_status no_memory(const machine *m)
{
    return hd__fail(m->err, HD_ERR_MEMORY, "%s: no memory for its pickle", m->file);
}

/* Where the machine is, for errors. */
static size_t place(const machine *m)
{
    return (size_t)((const char *)m->in.at - m->bytes.ptr);
}

static hd_status damaged(const machine *m, const char *what)
{
    return hd__fail(m->err, HD_ERR_FORMAT, "%s: pickle: %s before byte %zu", m->file, what, place(m));
}

/* ---- values ---- */

/* The arena keeps outgrown arrays too: twice the size of what the pickle pushed. */
static hd_status append(const machine *m, items *to, value v)
{
    if (to->n == to->capacity) {
        size_t capacity = to->capacity != 0 ? to->capacity * 2 : 8;
        value *grown = hd__arena_calloc(m->arena, capacity, sizeof *grown);
        if (grown == NULL)
            return no_memory(m);
        if (to->n > 0)
            memcpy(grown, to->values, to->n * sizeof *grown);
        to->values = grown;
        to->capacity = capacity;
    }
    to->values[to->n++] = v;
    return HD_OK;
}

static hd_status push(machine *m, value v)
{
    return append(m, &m->stack, v);
}

/* Above the last mark only. */
static hd_status pop(machine *m, value *v)
{
    size_t floor = m->marks.n > 0 ? (size_t)m->marks.values[m->marks.n - 1].number : 0;
    if (m->stack.n <= floor)
        return damaged(m, "an empty stack");
    *v = m->stack.values[--m->stack.n];
    return HD_OK;
}

static hd_status pop_mark(machine *m, size_t *begin)
{
    if (m->marks.n == 0)
        return damaged(m, "no mark");
    *begin = (size_t)m->marks.values[--m->marks.n].number;
    return HD_OK;
}

static value number_value(kind k, int64_t number)
{
    return (value){.kind = k, .number = number};
}

static hd_status push_items(machine *m, kind k, const value *values, size_t n)
{
    value v = {.kind = k, .items = hd__arena_calloc(m->arena, 1, sizeof *v.items)};
    if (v.items == NULL)
        return no_memory(m);
    for (size_t i = 0; i < n; i++)
        HD_TRY(append(m, v.items, values[i]));
    return push(m, v);
}

/* Takes what is above `begin` off the stack and makes a tuple of it. */
static hd_status make_tuple(machine *m, size_t begin)
{
    const size_t n = m->stack.n - begin;
    m->stack.n = begin;
    return push_items(m, TUPLE, n > 0 ? m->stack.values + begin : NULL, n);
}

/* Adds what is above `begin` to the list or dictionary below it. */
static hd_status extend(machine *m, size_t begin, kind k)
{
    size_t floor = m->marks.n > 0 ? (size_t)m->marks.values[m->marks.n - 1].number : 0;
    if (begin <= floor || m->stack.values[begin - 1].kind != k || (k == DICT && (m->stack.n - begin) % 2 != 0))
        return damaged(m, "items for something that takes none");
    items *to = m->stack.values[begin - 1].items;
    for (size_t i = begin; i < m->stack.n; i++)
        HD_TRY(append(m, to, m->stack.values[i]));
    m->stack.n = begin;
    return HD_OK;
}

/* ---- what tensors are made of ---- */

static hd_status push_global(machine *m, hd_span module, hd_span name)
{
    static const struct {
        const char *module, *name;
        global global;
        hd_tensor_type type;
    } known[] = {
        {"collections", "OrderedDict", ORDERED_DICT, 0},
        {"torch._utils", "_rebuild_tensor_v2", REBUILD_TENSOR, 0},
        {"torch._utils", "_rebuild_parameter", REBUILD_PARAMETER, 0},
        {"torch", "DoubleStorage", STORAGE_TYPE, HD_TENSOR_F64},
        {"torch", "FloatStorage", STORAGE_TYPE, HD_TENSOR_F32},
        {"torch", "HalfStorage", STORAGE_TYPE, HD_TENSOR_F16},
        {"torch", "BFloat16Storage", STORAGE_TYPE, HD_TENSOR_BF16},
        {"torch", "LongStorage", STORAGE_TYPE, HD_TENSOR_I64},
        {"torch", "IntStorage", STORAGE_TYPE, HD_TENSOR_I32},
        {"torch", "ShortStorage", STORAGE_TYPE, HD_TENSOR_I16},
        {"torch", "CharStorage", STORAGE_TYPE, HD_TENSOR_I8},
        {"torch", "ByteStorage", STORAGE_TYPE, HD_TENSOR_U8},
        {"torch", "BoolStorage", STORAGE_TYPE, HD_TENSOR_BOOL},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (hd__span_is(module, known[i].module) && hd__span_is(name, known[i].name))
            return push(m, (value){.kind = GLOBAL, .global = known[i].global, .type = known[i].type});
    }
    return hd__fail(
        m->err, HD_ERR_UNSUPPORTED, "%s: pickle: it asks for \"%.*s.%.*s\"; Heddle makes tensors and nothing else", m->file,
        (int)(module.len < 100 ? module.len : 100), module.ptr, (int)(name.len < 100 ? name.len : 100), name.ptr);
}

/* ("storage", type, key, device, n) */
static hd_status make_storage(machine *m)
{
    value id;
    HD_TRY(pop(m, &id));
    const value *part = id.kind == TUPLE && id.items->n == 5 ? id.items->values : NULL;
    if (part == NULL || part[0].kind != TEXT || !hd__span_is(part[0].text, "storage") || part[1].kind != GLOBAL ||
        part[1].global != STORAGE_TYPE || part[2].kind != TEXT || part[4].kind != INT || part[4].number < 0)
        return damaged(m, "a persistent id that is no storage");
    hd_pickle_tensor *storage = hd__arena_calloc(m->arena, 1, sizeof *storage);
    if (storage == NULL)
        return no_memory(m);
    storage->type = part[1].type;
    storage->key = part[2].text;
    storage->n_stored = (uint64_t)part[4].number;
    return push(m, (value){.kind = STORAGE, .tensor = storage});
}

/* A tuple of counts. */
static hd_status read_counts(const machine *m, const value *tuple, uint64_t *counts, uint32_t *n)
{
    if (tuple->kind != TUPLE)
        return damaged(m, "a size or stride that is no tuple");
    if (tuple->items->n > HD_LIMIT_TENSOR_DIMS)
        return hd__fail(m->err, HD_ERR_LIMIT, "%s: pickle: a tensor of %zu dimensions, the limit is %u", m->file,
                        tuple->items->n, HD_LIMIT_TENSOR_DIMS);
    *n = (uint32_t)tuple->items->n;
    for (uint32_t i = 0; i < *n; i++) {
        const value *v = &tuple->items->values[i];
        if (v->kind != INT || v->number < 0)
            return damaged(m, "a size or stride that is no count");
        counts[i] = (uint64_t)v->number;
    }
    return HD_OK;
}

static hd_status make_tensor(machine *m, const items *arguments)
{
    const value *part = arguments->values;
    uint32_t n_strides;
    if (arguments->n < 4 || part[0].kind != STORAGE || part[1].kind != INT || part[1].number < 0)
        return damaged(m, "arguments that make no tensor");
    hd_pickle_tensor *tensor = hd__arena_calloc(m->arena, 1, sizeof *tensor);
    if (tensor == NULL)
        return no_memory(m);
    *tensor = *part[0].tensor;
    tensor->offset = (uint64_t)part[1].number;
    HD_TRY(read_counts(m, &part[2], tensor->dims, &tensor->n_dims));
    HD_TRY(read_counts(m, &part[3], tensor->strides, &n_strides));
    if (n_strides != tensor->n_dims)
        return damaged(m, "a tensor with more or fewer strides than dimensions");
    return push(m, (value){.kind = TENSOR, .tensor = tensor});
}

static hd_status reduce(machine *m)
{
    value arguments, function;
    HD_TRY(pop(m, &arguments));
    HD_TRY(pop(m, &function));
    if (function.kind != GLOBAL || arguments.kind != TUPLE || function.global == STORAGE_TYPE)
        return damaged(m, "a call of something that is no function");
    const items *given = arguments.items;
    if (function.global == REBUILD_TENSOR)
        return make_tensor(m, given);
    if (function.global == ORDERED_DICT)
        return given->n == 0 ? push_items(m, DICT, NULL, 0) : damaged(m, "a dictionary made of something");
    return given->n > 0 && given->values[0].kind == TENSOR ? push(m, given->values[0])
                                                           : damaged(m, "a parameter that is no tensor");
}

/* ---- opcodes ---- */

static hd_status push_text(machine *m, uint64_t n)
{
    hd_span text = hd__cursor_take(&m->in, (size_t)n);
    return m->in.failed ? damaged(m, "a text that is cut short") : push(m, (value){.kind = TEXT, .text = text});
}

/* Two's complement in n bytes. */
static hd_status push_long(machine *m, size_t n)
{
    if (n > 8)
        return damaged(m, "an integer of more than 64 bits");
    uint64_t bits = hd__cursor_uint(&m->in, n);
    if (n > 0 && n < 8 && (bits >> (8 * n - 1) & 1) != 0)
        bits |= UINT64_MAX << (8 * n);
    return push(m, number_value(INT, (int64_t)bits));
}

static hd_status take_line(machine *m, hd_span *line)
{
    const char *begin = (const char *)m->in.at, *newline = memchr(begin, '\n', hd__cursor_left(&m->in));
    if (newline == NULL)
        return damaged(m, "a name that is cut short");
    *line = hd__cursor_take(&m->in, (size_t)(newline - begin));
    hd__cursor_take(&m->in, 1);
    return HD_OK;
}

static hd_status global_by_lines(machine *m)
{
    hd_span module, name;
    HD_TRY(take_line(m, &module));
    HD_TRY(take_line(m, &name));
    return push_global(m, module, name);
}

static hd_status global_by_stack(machine *m)
{
    value module, name;
    HD_TRY(pop(m, &name));
    HD_TRY(pop(m, &module));
    if (name.kind != TEXT || module.kind != TEXT)
        return damaged(m, "a global whose name is no text");
    return push_global(m, module.text, name.text);
}

/* Pickles number what they keep from 0 on, and each time takes a byte at least. */
static hd_status put_memo(machine *m, uint64_t index)
{
    if (m->stack.n == 0 || index > m->bytes.len)
        return damaged(m, "nothing to keep, or too high a number for it");
    while (m->memo.n <= index)
        HD_TRY(append(m, &m->memo, number_value(NONE, 0)));
    m->memo.values[index] = m->stack.values[m->stack.n - 1];
    return HD_OK;
}

static hd_status get_memo(machine *m, uint64_t index)
{
    return index < m->memo.n ? push(m, m->memo.values[index]) : damaged(m, "something that was not kept");
}

static hd_status tuple_of(machine *m, size_t n)
{
    size_t floor = m->marks.n > 0 ? (size_t)m->marks.values[m->marks.n - 1].number : 0;
    return m->stack.n - floor >= n ? make_tuple(m, m->stack.n - n) : damaged(m, "an empty stack");
}

/* A dictionary's attributes ("_metadata"), which say nothing about tensors. */
static hd_status build(machine *m)
{
    value state, object;
    HD_TRY(pop(m, &state));
    HD_TRY(pop(m, &object));
    return object.kind == DICT ? push(m, object) : damaged(m, "attributes of something that is no dictionary");
}

static hd_status with_mark(machine *m, char opcode)
{
    size_t begin = 0;
    HD_TRY(pop_mark(m, &begin));
    switch (opcode) {
    case 't': return make_tuple(m, begin);
    case 'e': return extend(m, begin, LIST);
    case 'u': return extend(m, begin, DICT);
    default: m->stack.n = begin; return HD_OK; /* '1', pop it all */
    }
}

static hd_status pop_one(machine *m)
{
    value v;
    return pop(m, &v);
}

static hd_status run_opcode(machine *m, unsigned char opcode)
{
    hd_cursor *in = &m->in;
    switch (opcode) {
    case 0x80: hd__cursor_take(in, 1); return HD_OK; /* PROTO */
    case 0x95: hd__cursor_take(in, 8); return HD_OK; /* FRAME */
    case '(': return append(m, &m->marks, number_value(INT, (int64_t)m->stack.n));
    case 't':
    case 'e':
    case 'u':
    case '1': return with_mark(m, (char)opcode);
    case '0': return pop_one(m);
    case 'N': return push(m, number_value(NONE, 0));
    case 0x88: return push(m, number_value(BOOL, 1));
    case 0x89: return push(m, number_value(BOOL, 0));
    case 'J': return push_long(m, 4);
    case 'K': return push(m, number_value(INT, hd__cursor_u8(in)));
    case 'M': return push(m, number_value(INT, hd__cursor_u16(in)));
    case 0x8a: return push_long(m, hd__cursor_u8(in));
    case 'G': hd__cursor_take(in, 8); return push(m, number_value(NONE, 0));
    case 'X': return push_text(m, hd__cursor_u32(in));
    case 0x8c: return push_text(m, hd__cursor_u8(in));
    case 0x8d: return push_text(m, hd__cursor_u64(in));
    case ')': return push_items(m, TUPLE, NULL, 0);
    case 0x85:
    case 0x86:
    case 0x87: return tuple_of(m, opcode - 0x84u);
    case ']': return push_items(m, LIST, NULL, 0);
    case '}': return push_items(m, DICT, NULL, 0);
    case 'a': return m->stack.n >= 1 ? extend(m, m->stack.n - 1, LIST) : damaged(m, "an empty stack");
    case 's': return m->stack.n >= 2 ? extend(m, m->stack.n - 2, DICT) : damaged(m, "an empty stack");
    case 'c': return global_by_lines(m);
    case 0x93: return global_by_stack(m);
    case 'Q': return make_storage(m);
    case 'R': return reduce(m);
    case 'b': return build(m);
    case 'q': return put_memo(m, hd__cursor_u8(in));
    case 'r': return put_memo(m, hd__cursor_u32(in));
    case 0x94: return put_memo(m, m->memo.n);
    case 'h': return get_memo(m, hd__cursor_u8(in));
    case 'j': return get_memo(m, hd__cursor_u32(in));
    default:
        return hd__fail(m->err, HD_ERR_UNSUPPORTED, "%s: pickle: opcode 0x%02x at byte %zu is none that tensors need",
                        m->file, opcode, place(m) - 1);
    }
}

static hd_status run(machine *m, value *result)
{
    for (;;) {
        const unsigned char opcode = hd__cursor_u8(&m->in);
        if (m->in.failed)
            return damaged(m, "it is cut short");
        if (opcode == '.')
            return pop(m, result);
        HD_TRY(run_opcode(m, opcode));
        if (m->in.failed)
            return damaged(m, "it is cut short");
    }
}

/* ---- the result ---- */

static hd_status collect(const machine *m, const items *dict, hd_arena *arena, hd_pickle_tensor **tensors, size_t *n)
{
    hd_pickle_tensor *found = hd__arena_calloc(arena, dict->n / 2, sizeof *found);
    if (found == NULL)
        return no_memory(m);
    *n = 0;
    for (size_t i = 0; i < dict->n; i += 2) {
        const value *key = &dict->values[i], *entry = &dict->values[i + 1];
        if (key->kind != TEXT || entry->kind != TENSOR)
            continue;
        found[*n] = *entry->tensor;
        found[(*n)++].name = key->text;
    }
    *tensors = found;
    return HD_OK;
}

static const items *find_dict(const items *dict, const char *name)
{
    for (size_t i = 0; i < dict->n; i += 2) {
        if (dict->values[i].kind == TEXT && hd__span_is(dict->values[i].text, name) && dict->values[i + 1].kind == DICT)
            return dict->values[i + 1].items;
    }
    return NULL;
}

hd_status hd__pickle_read(hd_span bytes, const char *file, hd_arena *arena, hd_pickle_tensor **tensors, size_t *n,
                          hd_error *err)
{
    hd_arena own;
    value result;
    hd__arena_init(&own);
    machine m = {.in = hd__cursor(bytes), .bytes = bytes, .file = file, .arena = &own, .err = err};
    hd_status status = run(&m, &result);
    if (status == HD_OK && result.kind != DICT)
        status = hd__fail(err, HD_ERR_FORMAT, "%s: pickle: what is in it is no dictionary of tensors", file);
    if (status == HD_OK)
        status = collect(&m, result.items, arena, tensors, n);
    const items *inner = status == HD_OK && *n == 0 ? find_dict(result.items, "state_dict") : NULL;
    if (inner != NULL)
        status = collect(&m, inner, arena, tensors, n);
    hd__arena_clear(&own);
    return status;
}
