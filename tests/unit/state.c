/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * state.c - state streams: what is written is what docs/state-format.md says, what is read back is
 * what was put in, and nothing that someone else could have written does harm.
 */
#include <stddef.h>
#include <zlib.h>

#include <vmmapi.h>
#include <vmmapi/state.h>

#include "vm_fixture.h"

TEST_MAIN()

/* SECTION: streams written by hand, from the documentation alone */

struct wire {
	uint8_t		 buf[1 << 16];
	size_t		 len;
	size_t		 section;	/* start of the open section */
	uint32_t	 sections;
};

static void
w_int(struct wire *w, uint64_t val, unsigned bytes)
{
	CHECK(w->len + bytes <= sizeof(w->buf));
	for (unsigned i = 0; i < bytes; i++)
		w->buf[w->len++] = (uint8_t)(val >> (8 * i));
}

static void
w_name(struct wire *w, const char *name)
{
	w_int(w, strlen(name), 1);
	for (; *name != '\0'; name++)
		w_int(w, (uint8_t)*name, 1);
}

static void
w_patch(struct wire *w, size_t at, uint64_t val, unsigned bytes)
{
	size_t end = w->len;

	w->len = at;
	w_int(w, val, bytes);
	w->len = end;
}

static void
w_start(struct wire *w)
{
	memset(w, 0, sizeof(*w));
	for (const char *p = "HYVESTAT"; *p != '\0'; p++)
		w_int(w, (uint8_t)*p, 1);
	w_int(w, 1, 4);
	w_int(w, 0, 4);
	w_int(w, 0, 8);
}

static void
w_section(struct wire *w, const char *cls, const char *instance, uint32_t version, uint32_t nfields)
{
	w->section = w->len;
	w_int(w, 0, 4);
	w_name(w, cls);
	w_name(w, instance);
	w_int(w, version, 4);
	w_int(w, nfields, 4);
	w->sections++;
}

static void
w_section_end(struct wire *w)
{
	w_patch(w, w->section, w->len - w->section - 4, 4);
	w_int(w, crc32(0, w->buf + w->section, (uInt)(w->len - w->section)), 4);
}

static void
w_field(struct wire *w, int type, const char *name, uint32_t count, uint32_t bytes)
{
	w_int(w, (uint64_t)type, 1);
	w_name(w, name);
	w_int(w, count, 4);
	w_int(w, bytes, 4);
}

static void
w_end(struct wire *w)
{
	w_patch(w, 12, w->sections, 4);
	w_patch(w, 16, w->len + 4, 8);
	w_int(w, crc32(0, w->buf, (uInt)w->len), 4);
}

/* SECTION: the objects of these tests */

struct inner {
	uint16_t	 x;
	bool		 on;
	int		 derived;	/* not declared */
};

struct thing {
	uint8_t		 u8;
	uint16_t	 u16;
	void		*pointer;	/* not declared */
	uint32_t	 u32;
	uint64_t	 u64;
	bool		 flag;
	bool		 flags[3];
	char		 text[7];
	uint16_t	 words[4];
	uint64_t	 quads[2];
	struct inner	 one;
	struct inner	 many[3];
	uint32_t	 younger;	/* since version 2 */
	unsigned	 checks;	/* not declared: calls of check */
};

static int
check_inner(void *obj)
{
	struct inner *in = obj;

	if (in->x == 0xdead)
		return (vm_state_complain("x is 0x%x", in->x));
	in->derived = in->x * 2;
	return (0);
}

static int
check_thing(void *obj)
{
	struct thing *t = obj;

	if (t->u8 == 0xee)
		return (vm_state_complain("u8 of %u is more than anyone needs", t->u8));
	if (t->u8 == 0xef)
		return (-1);			/* without a word */
	t->checks++;
	return (0);
}

static const struct vm_state_field inner_fields[] = {
	VM_STATE_U16(struct inner, x),
	VM_STATE_BOOL(struct inner, on),
};
static const struct vm_state_table inner_table = VM_STATE_TABLE("inner", 1, 1, inner_fields, check_inner);

static const struct vm_state_field thing_fields[] = {
	VM_STATE_U8(struct thing, u8),
	VM_STATE_U16(struct thing, u16),
	VM_STATE_U32(struct thing, u32),
	VM_STATE_U64(struct thing, u64),
	VM_STATE_BOOL(struct thing, flag),
	VM_STATE_BOOLS(struct thing, flags),
	VM_STATE_BYTES(struct thing, text),
	VM_STATE_U16S(struct thing, words),
	VM_STATE_U64S(struct thing, quads),
	VM_STATE_STRUCT(struct thing, one, &inner_table),
	VM_STATE_STRUCTS(struct thing, many, &inner_table),
	VM_STATE_FIELD_(struct thing, younger, VM_FIELD_U32, 2),
};
static const struct vm_state_table thing_table = VM_STATE_TABLE("thing", 2, 1, thing_fields, check_thing);

/* One field is enough for most of the hostile ones. */
struct small {
	uint32_t	 val;
	bool		 yes;
};
static const struct vm_state_field small_fields[] = {
	VM_STATE_U32(struct small, val),
	VM_STATE_BOOL(struct small, yes),
};
static const struct vm_state_table small_table = VM_STATE_TABLE("small", 3, 2, small_fields, NULL);

static void
fill_thing(struct thing *t)
{
	memset(t, 0, sizeof(*t));
	t->u8 = 0x12;
	t->u16 = 0x3456;
	t->pointer = t;
	t->u32 = 0x789abcde;
	t->u64 = 0xf0123456789abcdeULL;
	t->flag = true;
	t->flags[1] = true;
	memcpy(t->text, "hello\n", 7);
	for (unsigned i = 0; i < 4; i++)
		t->words[i] = (uint16_t)(0x1100 * i + 1);
	t->quads[0] = UINT64_MAX;
	t->quads[1] = 1;
	t->one.x = 7;
	t->one.on = true;
	for (unsigned i = 0; i < 3; i++) {
		t->many[i].x = (uint16_t)(100 + i);
		t->many[i].on = i == 1;
	}
	t->younger = 99;
}

/* The declared part of two things is the same. */
static bool
same_thing(const struct thing *a, const struct thing *b)
{
	bool same = a->u8 == b->u8 && a->u16 == b->u16 && a->u32 == b->u32 && a->u64 == b->u64 &&
	    a->flag == b->flag && memcmp(a->flags, b->flags, sizeof(a->flags)) == 0 &&
	    memcmp(a->text, b->text, sizeof(a->text)) == 0 && memcmp(a->words, b->words, sizeof(a->words)) == 0 &&
	    memcmp(a->quads, b->quads, sizeof(a->quads)) == 0 && a->one.x == b->one.x && a->one.on == b->one.on &&
	    a->younger == b->younger;

	for (unsigned i = 0; i < 3; i++)
		same = same && a->many[i].x == b->many[i].x && a->many[i].on == b->many[i].on;
	return (same);
}

/* A copy of the finished stream; the caller frees it. */
static uint8_t *
stream_of(struct vm_state_out *out, size_t *len)
{
	const void *data = vm_state_out_data(out, len);
	uint8_t *copy;

	CHECKF(data != NULL, "%s", vm_errmsg());
	copy = malloc(*len);
	CHECK(copy != NULL);
	memcpy(copy, data, *len);
	return (copy);
}

static uint8_t *
thing_stream(const struct thing *t, size_t *len)
{
	struct vm_state_out *out = vm_state_out_open();
	uint8_t *data;

	CHECK(out != NULL);
	CHECKF(vm_state_put(out, &thing_table, "0", t) == 0, "%s", vm_errmsg());
	data = stream_of(out, len);
	vm_state_out_close(out);
	return (data);
}

static struct vm_state_in *
open_wire(struct wire *w)
{
	struct vm_state_in *in;

	w_end(w);
	in = vm_state_in_open(w->buf, w->len);
	CHECKF(in != NULL, "%s", vm_errmsg());
	return (in);
}

/* The stream opens, but "small" "" is refused with this errno and this in the sentence; nothing changes. */
static void
refused(struct wire *w, int error, const char *why)
{
	struct vm_state_in *in = open_wire(w);
	struct small s = { 0x5a5a5a5a, true };

	errno = 0;
	CHECK_EQ(vm_state_get(in, &small_table, "", &s), -1);
	CHECKF(errno == error, "errno %d (%s) for: %s", errno, strerror(errno), vm_errmsg());
	CHECK_HAS(vm_errmsg(), why);
	CHECK_EQ(s.val, 0x5a5a5a5a);
	CHECK(s.yes);
	vm_state_in_close(in);
}

/* The frame is refused. */
static void
not_opened(const void *data, size_t len, int error, const char *why)
{
	errno = 0;
	CHECK(vm_state_in_open(data, len) == NULL);
	CHECKF(errno == error, "errno %d (%s) for: %s", errno, strerror(errno), vm_errmsg());
	CHECK_HAS(vm_errmsg(), why);
}

/* SECTION: what is written */

TEST(round_trip)
{
	struct thing a, b, blank;
	struct vm_state_in *in;
	uint8_t *data;
	size_t len;

	fill_thing(&a);
	data = thing_stream(&a, &len);
	in = vm_state_in_open(data, len);
	CHECKF(in != NULL, "%s", vm_errmsg());
	memset(&b, 0, sizeof(b));
	blank = b;
	CHECKF(vm_state_get(in, &thing_table, "0", &b) == 0, "%s", vm_errmsg());
	CHECK(same_thing(&a, &b));
	CHECK_EQ(vm_state_in_done(in), 0);
	/* what is not declared stays as it was, but for what the checks recomputed */
	CHECK(b.pointer == blank.pointer);
	CHECK_EQ(b.checks, 1);
	CHECK_EQ(b.one.derived, 14);
	CHECK_EQ(b.many[2].derived, 204);
	vm_state_in_close(in);
	free(data);
}

/* An object is written as these bytes. */
static void
check_wire(const struct vm_state_table *table, const char *id, const void *obj, const struct wire *w)
{
	struct vm_state_out *out = vm_state_out_open();
	const void *data;
	size_t len;

	CHECK(out != NULL);
	CHECK_EQ(vm_state_put(out, table, id, obj), 0);
	data = vm_state_out_data(out, &len);
	CHECK(data != NULL);
	CHECK_EQ(len, w->len);
	CHECK(memcmp(data, w->buf, len) == 0);
	vm_state_out_close(out);
}

TEST(wire_is_as_documented)
{
	struct small s = { 0x01020304, true };
	static struct wire w;

	w_start(&w);
	w_section(&w, "small", "disk 0", 3, 2);
	w_field(&w, 3, "val", 1, 4);
	w_int(&w, 0x01020304, 4);
	w_field(&w, 5, "yes", 1, 1);
	w_int(&w, 1, 1);
	w_section_end(&w);
	w_end(&w);
	check_wire(&small_table, "disk 0", &s, &w);
}

TEST(structs_on_the_wire)
{
	struct {
		struct inner	in[2];
	} obj = { { { .x = 5, .on = true }, { .x = 6, .on = false } } };
	const struct vm_state_field fields[] = {
		{ .name = "in", .type = VM_FIELD_STRUCT, .offset = 0, .count = 2,
		  .stride = sizeof(struct inner), .since = 1, .sub = &inner_table },
	};
	const struct vm_state_table table = VM_STATE_TABLE("pair", 1, 1, fields, NULL);
	static struct wire w;
	size_t at;

	w_start(&w);
	w_section(&w, "pair", "", 1, 1);
	at = w.len + 1 + 3 + 4;
	w_field(&w, 7, "in", 2, 0);
	w_name(&w, "inner");
	w_int(&w, 1, 4);
	for (unsigned i = 0; i < 2; i++) {
		w_int(&w, 2, 4);
		w_field(&w, 2, "x", 1, 2);
		w_int(&w, 5 + i, 2);
		w_field(&w, 5, "on", 1, 1);
		w_int(&w, i == 0, 1);
	}
	w_patch(&w, at, w.len - at - 4, 4);
	w_section_end(&w);
	w_end(&w);
	check_wire(&table, "", &obj, &w);
}

TEST(nothing_but_declared_bytes_are_written)
{
	struct thing a, b;
	uint8_t *da, *db;
	size_t la, lb;

	fill_thing(&a);
	memset(&b, 0xa5, sizeof(b));
	b.u8 = a.u8;
	b.u16 = a.u16;
	b.u32 = a.u32;
	b.u64 = a.u64;
	b.flag = a.flag;
	memcpy(b.flags, a.flags, sizeof(a.flags));
	memcpy(b.text, a.text, sizeof(a.text));
	memcpy(b.words, a.words, sizeof(a.words));
	memcpy(b.quads, a.quads, sizeof(a.quads));
	b.one.x = a.one.x;
	b.one.on = a.one.on;
	for (unsigned i = 0; i < 3; i++) {
		b.many[i].x = a.many[i].x;
		b.many[i].on = a.many[i].on;
	}
	b.younger = a.younger;
	da = thing_stream(&a, &la);
	db = thing_stream(&b, &lb);
	CHECK_EQ(la, lb);
	CHECK(memcmp(da, db, la) == 0);
	free(da);
	free(db);
}

TEST(empty_stream)
{
	struct vm_state_out *out = vm_state_out_open();
	struct vm_state_in *in;
	struct small s;

	CHECK(out != NULL);
	in = tv_reader(out);
	CHECK_EQ(vm_state_in_done(in), 0);
	CHECK(!vm_state_has(in, "small", NULL));
	CHECK_EQ(vm_state_get(in, &small_table, "", &s), -1);
	CHECK_EQ(errno, ENOENT);
	vm_state_in_close(in);
	vm_state_out_close(out);
}

TEST(data_may_be_asked_for_in_between)
{
	struct small s = { 1, false };
	struct vm_state_out *out = vm_state_out_open();
	struct vm_state_in *in;
	size_t len;

	CHECK(out != NULL);
	CHECK_EQ(vm_state_put(out, &small_table, "a", &s), 0);
	CHECK(vm_state_out_data(out, &len) != NULL);
	CHECK_EQ(vm_state_put(out, &small_table, "b", &s), 0);
	in = tv_reader(out);
	CHECK_EQ(vm_state_get(in, &small_table, "b", &s), 0);
	CHECK_EQ(vm_state_get(in, &small_table, "a", &s), 0);
	vm_state_in_close(in);
	vm_state_out_close(out);
}

TEST(a_thousand_sections_in_any_order)
{
	struct vm_state_out *out = vm_state_out_open();
	struct vm_state_in *in;
	struct small s;
	char name[16];

	CHECK(out != NULL);
	for (uint32_t i = 0; i < 1000; i++) {
		s = (struct small){ i, (i & 1) != 0 };
		snprintf(name, sizeof(name), "%u", i);
		CHECK_EQ(vm_state_put(out, &small_table, name, &s), 0);
	}
	in = tv_reader(out);
	for (uint32_t i = 0; i < 1000; i++) {
		uint32_t j = (i * 7 + 3) % 1000;

		snprintf(name, sizeof(name), "%u", j);
		CHECK(vm_state_has(in, "small", name));
		CHECK_EQ(vm_state_get(in, &small_table, name, &s), 0);
		CHECK_EQ(s.val, j);
		CHECK_EQ(s.yes, (j & 1) != 0);
	}
	CHECK_EQ(vm_state_in_done(in), 0);
	vm_state_in_close(in);
	vm_state_out_close(out);
}

TEST(a_large_field)
{
	enum { SIZE = 3 << 20 };
	const struct vm_state_field fields[] = {
		{ .name = "blob", .type = VM_FIELD_BYTES, .offset = 0, .count = SIZE, .stride = 1, .since = 1 },
	};
	const struct vm_state_table table = VM_STATE_TABLE("blob", 1, 1, fields, NULL);
	struct vm_state_out *out = vm_state_out_open();
	uint8_t *a = malloc(SIZE), *b = calloc(1, SIZE);
	struct vm_state_in *in;

	CHECK(out != NULL && a != NULL && b != NULL);
	for (size_t i = 0; i < SIZE; i++)
		a[i] = (uint8_t)(i * 31 + (i >> 8));
	CHECK_EQ(vm_state_put(out, &table, "", a), 0);
	in = tv_reader(out);
	CHECK_EQ(vm_state_get(in, &table, "", b), 0);
	CHECK(memcmp(a, b, SIZE) == 0);
	vm_state_in_close(in);
	vm_state_out_close(out);
	free(a);
	free(b);
}

/* SECTION: what a reader asks for */

TEST(has_done_and_taken)
{
	struct small s = { 1, false };
	struct vm_state_out *out = vm_state_out_open();
	struct vm_state_in *in;

	CHECK(out != NULL);
	CHECK_EQ(vm_state_put(out, &small_table, "zz", &s), 0);
	CHECK_EQ(vm_state_put(out, &small_table, "b", &s), 0);
	in = tv_reader(out);
	CHECK(vm_state_has(in, "small", NULL));
	CHECK(vm_state_has(in, "small", "b"));
	CHECK(!vm_state_has(in, "small", "c"));
	CHECK(!vm_state_has(in, "smal", NULL));
	CHECK(!vm_state_has(in, "smaller", NULL));
	/* the first in the stream's order, which is not the alphabet's */
	CHECK_EQ(vm_state_in_done(in), -1);
	CHECK_EQ(errno, ENOTSUP);
	CHECK_HAS(vm_errmsg(), "'small' 'zz'");
	CHECK_EQ(vm_state_get(in, &small_table, "zz", &s), 0);
	CHECK_EQ(vm_state_get(in, &small_table, "zz", &s), -1);
	CHECK_EQ(errno, EALREADY);
	CHECK_EQ(vm_state_in_done(in), -1);
	CHECK_HAS(vm_errmsg(), "'small' 'b'");
	CHECK_EQ(vm_state_get(in, &small_table, "c", &s), -1);
	CHECK_EQ(errno, ENOENT);
	CHECK_EQ(vm_state_get(in, &small_table, "b", &s), 0);
	CHECK_EQ(vm_state_in_done(in), 0);
	vm_state_in_close(in);
	vm_state_out_close(out);
}

TEST(fields_in_any_order)
{
	static struct wire w;
	struct vm_state_in *in;
	struct small s = { 0, false };

	w_start(&w);
	w_section(&w, "small", "", 3, 2);
	w_field(&w, 5, "yes", 1, 1);
	w_int(&w, 1, 1);
	w_field(&w, 3, "val", 1, 4);
	w_int(&w, 77, 4);
	w_section_end(&w);
	in = open_wire(&w);
	CHECKF(vm_state_get(in, &small_table, "", &s) == 0, "%s", vm_errmsg());
	CHECK_EQ(s.val, 77);
	CHECK(s.yes);
	vm_state_in_close(in);
}

TEST(an_older_version_leaves_younger_fields_alone)
{
	struct { uint32_t old, young; } obj = { 1, 2 };
	const struct vm_state_field fields[] = {
		{ .name = "old", .type = VM_FIELD_U32, .offset = 0, .count = 1, .stride = 4, .since = 1 },
		{ .name = "young", .type = VM_FIELD_U32, .offset = 4, .count = 1, .stride = 4, .since = 2 },
	};
	const struct vm_state_table table = VM_STATE_TABLE("grown", 2, 1, fields, NULL);
	static struct wire w;
	struct vm_state_in *in;

	w_start(&w);
	w_section(&w, "grown", "1", 1, 1);
	w_field(&w, 3, "old", 1, 4);
	w_int(&w, 10, 4);
	w_section_end(&w);
	/* version 1 never had it: someone made this up */
	w_section(&w, "grown", "1+", 1, 2);
	w_field(&w, 3, "old", 1, 4);
	w_int(&w, 11, 4);
	w_field(&w, 3, "young", 1, 4);
	w_int(&w, 12, 4);
	w_section_end(&w);
	/* version 2 must have it */
	w_section(&w, "grown", "2-", 2, 1);
	w_field(&w, 3, "old", 1, 4);
	w_int(&w, 13, 4);
	w_section_end(&w);
	in = open_wire(&w);
	CHECKF(vm_state_get(in, &table, "1", &obj) == 0, "%s", vm_errmsg());
	CHECK_EQ(obj.old, 10);
	CHECK_EQ(obj.young, 2);
	CHECK_EQ(vm_state_get(in, &table, "1+", &obj), -1);
	CHECK_EQ(errno, EILSEQ);
	CHECK_HAS(vm_errmsg(), "'young'");
	CHECK_EQ(vm_state_get(in, &table, "2-", &obj), -1);
	CHECK_EQ(errno, EILSEQ);
	CHECK_HAS(vm_errmsg(), "'young' is missing");
	CHECK_EQ(obj.old, 10);
	CHECK_EQ(obj.young, 2);
	vm_state_in_close(in);
}

TEST(checks_refuse_and_nothing_changes)
{
	struct thing a, b, before;
	struct vm_state_in *in;
	uint8_t *data;
	size_t len;

	for (int round = 0; round < 3; round++) {
		fill_thing(&a);
		if (round == 0)
			a.u8 = 0xee;
		else if (round == 1)
			a.many[1].x = 0xdead;
		else
			a.u8 = 0xef;
		data = thing_stream(&a, &len);
		in = vm_state_in_open(data, len);
		CHECKF(in != NULL, "%s", vm_errmsg());
		memset(&b, 0, sizeof(b));
		b.u64 = 4711;
		before = b;
		CHECK_EQ(vm_state_get(in, &thing_table, "0", &b), -1);
		CHECK_EQ(errno, EILSEQ);
		CHECK_HAS(vm_errmsg(), "'thing' '0'");
		CHECK_HAS(vm_errmsg(), round == 0 ? "more than anyone needs" : round == 1 ? "x is 0xdead" :
		    "do not go together");
		CHECK(same_thing(&before, &b));
		CHECK_EQ(b.checks, 0);
		/* a refused section was not taken */
		CHECK_EQ(vm_state_in_done(in), -1);
		vm_state_in_close(in);
		free(data);
	}
}

TEST(a_sentence_says_where_in_nested_structs)
{
	struct thing a, b;
	struct vm_state_in *in;
	uint8_t *data, *p;
	size_t len;
	uint32_t crc;

	memset(&b, 0, sizeof(b));
	fill_thing(&a);
	data = thing_stream(&a, &len);
	/* the "on" of the last inner struct gets a truth value of 2 */
	for (p = data + len - 12; p > data && memcmp(p, "\002on\001\0\0\0\001\0\0\0", 11) != 0; p--)
		;
	CHECK(p > data);
	p[11] = 2;
	crc = (uint32_t)crc32(0, data + 24, (uInt)(len - 24 - 8));
	memcpy(data + len - 8, &crc, 4);
	crc = (uint32_t)crc32(0, data, (uInt)(len - 4));
	memcpy(data + len - 4, &crc, 4);
	in = vm_state_in_open(data, len);
	CHECKF(in != NULL, "%s", vm_errmsg());
	CHECK_EQ(vm_state_get(in, &thing_table, "0", &b), -1);
	CHECK_EQ(errno, EILSEQ);
	CHECK_HAS(vm_errmsg(), "many[2]");
	CHECK_HAS(vm_errmsg(), "'on'");
	vm_state_in_close(in);
	free(data);
}

/* SECTION: damage */

TEST(no_stream)
{
	static const uint8_t zero[64];

	not_opened(zero, 0, EILSEQ, "none");
	not_opened(zero, sizeof(zero), EILSEQ, "none");
	not_opened("HYVESTAT", 8, EILSEQ, "cut off");
	not_opened("HYVESTAT\001\0\0\0", 12, EILSEQ, "cut off");
	not_opened("HYVESTAT\002\0\0\0", 12, ENOTSUP, "format 2");
}

TEST(every_cut_is_found)
{
	struct thing a;
	uint8_t *data;
	size_t len;

	fill_thing(&a);
	data = thing_stream(&a, &len);
	for (size_t n = 0; n < len; n++) {
		uint8_t *cut = malloc(n == 0 ? 1 : n);	/* of exactly that size, for the sanitizer's sake */

		CHECK(cut != NULL);
		memcpy(cut, data, n);
		not_opened(cut, n, EILSEQ, "state stream");
		free(cut);
	}
	free(data);
}

TEST(every_flipped_bit_is_found)
{
	struct thing a;
	uint8_t *data;
	size_t len;

	fill_thing(&a);
	data = thing_stream(&a, &len);
	for (size_t bit = 0; bit < len * 8; bit++) {
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK(vm_state_in_open(data, len) == NULL);
		CHECK(errno == EILSEQ || (errno == ENOTSUP && bit / 8 >= 8 && bit / 8 < 12));
		CHECK(vm_errmsg()[0] != '\0');
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	free(data);
}

TEST(lies_with_good_checksums_are_found)
{
	static const uint8_t values[] = { 0, 1, 2, 0x7f, 0x80, 0xfe, 0xff };
	struct thing a, b, before;
	struct vm_state_in *in;
	uint8_t *data, *copy;
	size_t len;
	uint32_t crc;
	unsigned opened = 0, taken = 0;

	fill_thing(&a);
	memset(&before, 0, sizeof(before));
	data = thing_stream(&a, &len);
	for (size_t at = 12; at < len - 8; at++) {
		for (size_t v = 0; v < sizeof(values); v++) {
			copy = malloc(len);
			CHECK(copy != NULL);
			memcpy(copy, data, len);
			copy[at] = values[v];
			crc = (uint32_t)crc32(0, copy + 24, (uInt)(len - 24 - 8));
			memcpy(copy + len - 8, &crc, 4);
			crc = (uint32_t)crc32(0, copy, (uInt)(len - 4));
			memcpy(copy + len - 4, &crc, 4);
			in = vm_state_in_open(copy, len);
			if (in != NULL) {
				opened++;
				b = before;
				if (vm_state_get(in, &thing_table, "0", &b) == 0)
					taken++;
				else {
					CHECK(vm_errmsg()[0] != '\0');
					CHECK(errno == EILSEQ || errno == ENOTSUP || errno == ENOENT);
					CHECK(same_thing(&before, &b));
				}
				vm_state_in_close(in);
			} else
				CHECK_EQ(errno, EILSEQ);
			free(copy);
		}
	}
	/* values of fields may be changed without anyone noticing; that this was so shows that the rest was reached */
	CHECK(opened > 1000);
	CHECK(taken > 100);
	free(data);
}

TEST(counts_and_lengths_that_are_too_large)
{
	static struct wire w;
	struct vm_state_in *in;
	struct small s;

	/* more sections than bytes */
	w_start(&w);
	w.sections = UINT32_MAX;
	w_end(&w);
	not_opened(w.buf, w.len, EILSEQ, "do not fit");

	/* a section longer than the stream */
	w_start(&w);
	w_section(&w, "small", "", 3, 0);
	w_section_end(&w);
	w_patch(&w, 24, UINT32_MAX, 4);
	w_end(&w);
	not_opened(w.buf, w.len, EILSEQ, "cut off");

	/* more fields than bytes */
	w_start(&w);
	w_section(&w, "small", "", 3, UINT32_MAX);
	w_section_end(&w);
	refused(&w, EILSEQ, "do not fit");

	/* a field that ends behind its section */
	w_start(&w);
	w_section(&w, "small", "", 3, 1);
	w_field(&w, 3, "val", 1, UINT32_MAX);
	w_int(&w, 0, 4);
	w_section_end(&w);
	refused(&w, EILSEQ, "cut off");

	/* bytes behind the last field, and behind the last section */
	w_start(&w);
	w_section(&w, "small", "", 3, 2);
	w_field(&w, 3, "val", 1, 4);
	w_int(&w, 1, 4);
	w_field(&w, 5, "yes", 1, 1);
	w_int(&w, 1, 1);
	w_int(&w, 0, 1);
	w_section_end(&w);
	refused(&w, EILSEQ, "behind the last field");
	w_start(&w);
	w_int(&w, 0, 1);
	w_end(&w);
	not_opened(w.buf, w.len, EILSEQ, "behind the last section");

	/* fewer sections than there are */
	w_start(&w);
	w_section(&w, "small", "a", 3, 0);
	w_section_end(&w);
	w.sections = 0;
	w_end(&w);
	not_opened(w.buf, w.len, EILSEQ, "behind the last section");

	/* none of this keeps the next one from being read */
	w_start(&w);
	w_section(&w, "small", "", 2, 2);
	w_field(&w, 3, "val", 1, 4);
	w_int(&w, 1, 4);
	w_field(&w, 5, "yes", 1, 1);
	w_int(&w, 1, 1);
	w_section_end(&w);
	in = open_wire(&w);
	CHECKF(vm_state_get(in, &small_table, "", &s) == 0, "%s", vm_errmsg());
	vm_state_in_close(in);
}

/* A section "small" with these two fields. */
static void
two_fields(struct wire *w, uint32_t version, int type, const char *name, uint32_t count, unsigned bytes, uint64_t yes)
{
	w_start(w);
	w_section(w, "small", "", version, 2);
	w_field(w, type, name, count, bytes);
	w_int(w, 1, bytes < 8 ? bytes : 8);
	for (unsigned i = 8; i < bytes; i++)
		w_int(w, 0, 1);
	w_field(w, 5, "yes", 1, 1);
	w_int(w, yes, 1);
	w_section_end(w);
}

TEST(fields_that_do_not_fit_the_table)
{
	static struct wire w;

	two_fields(&w, 3, 3, "vile", 1, 4, 1);
	refused(&w, EILSEQ, "'vile' is not known");
	two_fields(&w, 3, 2, "val", 1, 4, 1);
	refused(&w, EILSEQ, "another type");
	two_fields(&w, 3, 0, "val", 1, 4, 1);
	refused(&w, EILSEQ, "another type");
	two_fields(&w, 3, 255, "val", 1, 4, 1);
	refused(&w, EILSEQ, "another type");
	two_fields(&w, 3, 3, "val", 2, 8, 1);
	refused(&w, EILSEQ, "count");
	two_fields(&w, 3, 3, "val", 0, 0, 1);
	refused(&w, EILSEQ, "count");
	two_fields(&w, 3, 3, "val", 1, 8, 1);
	refused(&w, EILSEQ, "8 bytes");
	two_fields(&w, 3, 3, "val", 1, 3, 1);
	refused(&w, EILSEQ, "3 bytes");
	two_fields(&w, 3, 3, "val", 1, 4, 2);
	refused(&w, EILSEQ, "truth value of 2");
	two_fields(&w, 3, 5, "yes", 1, 1, 1);
	refused(&w, EILSEQ, "'yes' is there twice");
	two_fields(&w, 3, 3, "", 1, 4, 1);
	refused(&w, EILSEQ, "no usable name");
	two_fields(&w, 3, 3, "va\nl", 1, 4, 1);
	refused(&w, EILSEQ, "no usable name");
	two_fields(&w, 3, 3, "valvalvalvalvalvalvalvalvalvalval", 1, 4, 1);
	refused(&w, EILSEQ, "no usable name");
	two_fields(&w, 4, 3, "val", 1, 4, 1);
	refused(&w, ENOTSUP, "newer");
	two_fields(&w, 1, 3, "val", 1, 4, 1);
	refused(&w, ENOTSUP, "older");
	two_fields(&w, 0, 3, "val", 1, 4, 1);
	refused(&w, ENOTSUP, "older");
	w_start(&w);
	w_section(&w, "small", "", 3, 1);
	w_field(&w, 3, "val", 1, 4);
	w_int(&w, 1, 4);
	w_section_end(&w);
	refused(&w, EILSEQ, "'yes' is missing");
}

TEST(section_names)
{
	static struct wire w;
	char longest[256];

	w_start(&w);
	w_section(&w, "small", "a", 3, 0);
	w_section_end(&w);
	w_section(&w, "small", "b", 3, 0);
	w_section_end(&w);
	w_section(&w, "small", "a", 2, 0);
	w_section_end(&w);
	w_end(&w);
	not_opened(w.buf, w.len, EILSEQ, "'small' 'a' is there twice");

	memset(longest, 'x', sizeof(longest));
	longest[32] = '\0';
	w_start(&w);
	w_section(&w, longest, "", 3, 0);
	w_section_end(&w);
	w_end(&w);
	not_opened(w.buf, w.len, EILSEQ, "usable name");
	longest[32] = 'x';
	longest[128] = '\0';
	w_start(&w);
	w_section(&w, "small", longest, 3, 0);
	w_section_end(&w);
	w_end(&w);
	not_opened(w.buf, w.len, EILSEQ, "usable name");
	w_start(&w);
	w_section(&w, "", "0", 3, 0);
	w_section_end(&w);
	w_end(&w);
	not_opened(w.buf, w.len, EILSEQ, "usable name");
	w_start(&w);
	w_section(&w, "small", "\033[2J", 3, 0);
	w_section_end(&w);
	w_end(&w);
	not_opened(w.buf, w.len, EILSEQ, "usable name");
}

TEST(nested_lies)
{
	struct { struct inner in[2]; } obj, before;
	const struct vm_state_field fields[] = {
		{ .name = "in", .type = VM_FIELD_STRUCT, .offset = 0, .count = 2,
		  .stride = sizeof(struct inner), .since = 1, .sub = &inner_table },
	};
	const struct vm_state_table table = VM_STATE_TABLE("pair", 1, 1, fields, NULL);
	static const struct {
		const char	*cls;
		uint32_t	 version, nfields, extra;
		int		 error;
		const char	*why;
	} lies[] = {
		{ "outer", 1, 2, 0, EILSEQ, "no 'inner'" },
		{ "inner", 2, 2, 0, ENOTSUP, "newer" },
		{ "inner", 0, 2, 0, ENOTSUP, "older" },
		{ "inner", 1, 1, 0, EILSEQ, "'on' is missing" },
		{ "inner", 1, 3, 0, EILSEQ, "cut off" },
		{ "inner", 1, UINT32_MAX, 0, EILSEQ, "" },
		{ "inner", 1, 2, 1, EILSEQ, "too many" },
	};
	static struct wire w;
	struct vm_state_in *in;
	size_t at;

	memset(&before, 0x11, sizeof(before));
	for (size_t l = 0; l < sizeof(lies) / sizeof(lies[0]); l++) {
		w_start(&w);
		w_section(&w, "pair", "", 1, 1);
		at = w.len + 1 + 3 + 4;
		w_field(&w, 7, "in", 2, 0);
		w_name(&w, lies[l].cls);
		w_int(&w, lies[l].version, 4);
		for (unsigned i = 0; i < 2; i++) {
			w_int(&w, i == 1 ? lies[l].nfields : 2, 4);
			w_field(&w, 2, "x", 1, 2);
			w_int(&w, 5 + i, 2);
			if (i == 0 || lies[l].nfields != 1) {
				w_field(&w, 5, "on", 1, 1);
				w_int(&w, 1, 1);
			}
		}
		for (uint32_t i = 0; i < lies[l].extra; i++)
			w_int(&w, 0, 1);
		w_patch(&w, at, w.len - at - 4, 4);
		w_section_end(&w);
		in = open_wire(&w);
		obj = before;
		CHECK_EQ(vm_state_get(in, &table, "", &obj), -1);
		CHECKF(errno == lies[l].error, "errno %d for: %s", errno, vm_errmsg());
		CHECK_HAS(vm_errmsg(), lies[l].why);
		CHECK(memcmp(&obj, &before, sizeof(obj)) == 0);
		vm_state_in_close(in);
	}
}

/* SECTION: mistakes of the caller */

TEST(a_failed_put_spoils_the_stream)
{
	struct small s = { 1, true };
	struct vm_state_out *out = vm_state_out_open();
	char name[129];
	size_t len;

	memset(name, 'n', 128);
	name[128] = '\0';
	CHECK(out != NULL);
	CHECK_EQ(vm_state_put(out, &small_table, name + 1, &s), 0);
	CHECK_EQ(vm_state_put(out, &small_table, name, &s), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(vm_state_put(out, &small_table, "fine", &s), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_HAS(vm_errmsg(), "earlier");
	CHECK(vm_state_out_data(out, &len) == NULL);
	CHECK_EQ(errno, EINVAL);
	vm_state_out_close(out);

	out = vm_state_out_open();
	CHECK(out != NULL);
	CHECK_EQ(vm_state_put(out, &small_table, "a", &s), 0);
	CHECK_EQ(vm_state_put(out, &small_table, "a", &s), -1);
	CHECK_EQ(errno, EEXIST);
	CHECK_HAS(vm_errmsg(), "'small' 'a'");
	vm_state_out_close(out);

	out = vm_state_out_open();
	CHECK(out != NULL);
	CHECK_EQ(vm_state_put(out, &small_table, "tab\t", &s), -1);
	CHECK_EQ(errno, EINVAL);
	vm_state_out_close(out);
}

static void
bad_table(const struct vm_state_table *table, const char *why)
{
	struct vm_state_out *out = vm_state_out_open();
	uint64_t obj[64] = { 0 };

	CHECK(out != NULL);
	CHECK_EQ(vm_state_put(out, table, "", obj), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_HAS(vm_errmsg(), why);
	vm_state_out_close(out);
}

TEST(tables_that_make_no_sense)
{
	struct vm_state_field f[2] = {
		{ .name = "a", .type = VM_FIELD_U32, .offset = 0, .count = 1, .stride = 4, .since = 1 },
		{ .name = "b", .type = VM_FIELD_U32, .offset = 4, .count = 1, .stride = 4, .since = 1 },
	};
	struct vm_state_table t = VM_STATE_TABLE("t", 1, 1, f, NULL), loop = t;

	bad_table(NULL, "no usable class name");
	t.name = "a class name of more than 31 bytes";
	bad_table(&t, "class name");
	t.name = "t";
	t.version = 0;
	bad_table(&t, "versions");
	t.version = 1;
	t.oldest = 2;
	bad_table(&t, "versions");
	t.oldest = 1;
	f[1].name = "a";
	bad_table(&t, "two fields 'a'");
	f[1].name = NULL;
	bad_table(&t, "field 1");
	f[1].name = "b";
	f[1].stride = 8;		/* VM_STATE_U32() of a 64-bit member */
	bad_table(&t, "'b' is not of its declared type");
	f[1].stride = 4;
	f[1].since = 2;
	bad_table(&t, "'b' is in no version");
	f[1].since = 1;
	f[1].count = 0;
	bad_table(&t, "'b' is in no version");
	f[1].count = 1;
	f[1].type = (enum vm_field_type)99;
	bad_table(&t, "'b'");
	f[1].type = VM_FIELD_STRUCT;
	bad_table(&t, "class name");
	f[1].sub = &loop;		/* a struct in itself */
	bad_table(&loop, "nested too deeply");
}

TEST(nulls)
{
	struct small s = { 1, true };
	struct vm_state_out *out = vm_state_out_open();
	struct vm_state_in *in;
	size_t len;

	CHECK(out != NULL);
	in = tv_reader(out);
#define	EINVAL_OF(call) do {							\
	errno = 0;								\
	CHECK(!(call));								\
	CHECK_EQ(errno, EINVAL);						\
	CHECK(vm_errmsg()[0] != '\0');						\
} while (0)
	EINVAL_OF(vm_state_get(NULL, &small_table, "", &s) == 0);
	EINVAL_OF(vm_state_get(in, NULL, "", &s) == 0);
	EINVAL_OF(vm_state_get(in, &small_table, NULL, &s) == 0);
	EINVAL_OF(vm_state_get(in, &small_table, "", NULL) == 0);
	EINVAL_OF(vm_state_in_open(NULL, 100) != NULL);
	EINVAL_OF(vm_state_in_done(NULL) == 0);
	EINVAL_OF(vm_state_out_data(NULL, &len) != NULL);
	EINVAL_OF(vm_state_out_data(out, NULL) != NULL);
	EINVAL_OF(vm_state_put(NULL, &small_table, "", &s) == 0);
	EINVAL_OF(vm_state_put(out, &small_table, NULL, &s) == 0);
	CHECK(!vm_state_has(NULL, "a", "b"));
	CHECK(!vm_state_has(in, NULL, "b"));
	vm_state_in_close(NULL);
	vm_state_out_close(NULL);
	vm_state_in_close(in);
	vm_state_out_close(out);
}
