/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * state.c - streams of declared state: writing them, and reading what someone else wrote.
 *
 * The wire format is in docs/state-format.md.  The writer trusts its caller; the reader trusts
 * nothing: it checks the frame of the whole stream when it is opened, walks a section once without
 * storing anything, and only then fills the object.
 */
#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "internal.h"

#define	STREAM_MAGIC	"HYVESTAT"
#define	STREAM_FORMAT	1
#define	STREAM_HEADER	24		/* magic, format, number of sections, length of the stream */
#define	STREAM_TRAILER	4		/* CRC-32 of all before it */
#define	SECTION_MIN	(4 + 2 + 1 + 4 + 4 + 4)	/* shortest section: one letter of class, no field */
#define	FIELD_MIN	(1 + 2 + 4 + 4)	/* shortest field: one letter of name, no payload */

#define	NAME_MAXLEN	31		/* bytes of a class or field name */
#define	INSTANCE_MAXLEN	127		/* bytes of an instance name */
#define	FIELDS_MAX	512		/* fields of a table */
#define	DEPTH_MAX	8		/* tables inside of tables */

struct section_name {
	char		 cls[NAME_MAXLEN + 1];
	char		 instance[INSTANCE_MAXLEN + 1];
};

struct vm_state_out {
	uint8_t		*buf;
	size_t		 len, size;
	int		 error;		/* errno of the first failure */
	struct section_name *names;
	uint32_t	 nnames, maxnames;
};

/* A section of an incoming stream. */
struct section {
	const uint8_t	*body;		/* fields */
	size_t		 len;
	const char	*cls;		/* not terminated */
	const char	*instance;
	uint8_t		 clslen, instlen;
	uint32_t	 version;
	uint32_t	 nfields;
	uint32_t	 order;		/* position in the stream */
	bool		 taken;
};

struct vm_state_in {
	struct section	*sections;	/* sorted by name */
	uint32_t	 nsections;
};

/* What is left of a piece of stream. */
struct cursor {
	const uint8_t	*p;
	size_t		 left;
};

int
vm_state_complain(const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return (vm_fail(EILSEQ, "%s", text));
}

/* Bytes of one element of a type on the wire and in memory, 0 for structs. */
static size_t
type_size(enum vm_field_type type)
{
	switch (type) {
	case VM_FIELD_U8:
	case VM_FIELD_BOOL:
	case VM_FIELD_BYTES:
		return (1);
	case VM_FIELD_U16:
		return (2);
	case VM_FIELD_U32:
		return (4);
	case VM_FIELD_U64:
		return (8);
	case VM_FIELD_STRUCT:
		return (0);
	}
	return (0);
}

/* Class, instance and field names are printable, so that sentences and tools can show them. */
static bool
name_ok(const char *name, size_t len, size_t max)
{
	if (len == 0 || len > max)
		return (false);
	for (size_t i = 0; i < len; i++) {
		if (name[i] <= 0x20 || name[i] == 0x7f)
			return (false);
	}
	return (true);
}

static bool
instance_ok(const char *name, size_t len)
{
	if (len > INSTANCE_MAXLEN)
		return (false);
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
			return (false);
	}
	return (true);
}

static uint32_t
field_since(const struct vm_state_field *field)
{
	return (field->since == 0 ? 1 : field->since);
}

/* Refuse a table that cannot be what its author meant: a macro used on a member of another width, for one. */
static int
table_check(const struct vm_state_table *table, unsigned depth)
{
	const struct vm_state_field *f, *g;

	if (table == NULL || table->name == NULL || !name_ok(table->name, strlen(table->name), NAME_MAXLEN))
		return (vm_fail(EINVAL, "state table: no usable class name"));
	if (depth >= DEPTH_MAX)
		return (vm_fail(EINVAL, "state table '%s': nested too deeply", table->name));
	if (table->version == 0 || table->oldest > table->version)
		return (vm_fail(EINVAL, "state table '%s': versions %u to %u make no sense", table->name,
		    table->oldest, table->version));
	if (table->nfields > FIELDS_MAX || (table->nfields != 0 && table->fields == NULL))
		return (vm_fail(EINVAL, "state table '%s': %u fields", table->name, table->nfields));
	for (uint32_t i = 0; i < table->nfields; i++) {
		f = &table->fields[i];
		if (f->name == NULL || !name_ok(f->name, strlen(f->name), NAME_MAXLEN))
			return (vm_fail(EINVAL, "state table '%s': field %u has no usable name", table->name, i));
		for (g = table->fields; g < f; g++) {
			if (strcmp(f->name, g->name) == 0)
				return (vm_fail(EINVAL, "state table '%s': two fields '%s'", table->name, f->name));
		}
		if (f->count == 0 || field_since(f) > table->version)
			return (vm_fail(EINVAL, "state table '%s': field '%s' is in no version", table->name,
			    f->name));
		if (f->type == VM_FIELD_STRUCT) {
			if (f->stride == 0)
				return (vm_fail(EINVAL, "state table '%s': field '%s' has no size", table->name,
				    f->name));
			if (table_check(f->sub, depth + 1) != 0)
				return (-1);
		} else if (type_size(f->type) == 0 || f->stride != type_size(f->type))
			return (vm_fail(EINVAL, "state table '%s': field '%s' is not of its declared type",
			    table->name, f->name));
	}
	return (0);
}

/* SECTION: writing */

static int
out_room(struct vm_state_out *out, size_t len)
{
	uint8_t *buf;
	size_t size;

	if (out->size - out->len >= len)
		return (0);
	size = out->size * 2;
	if (size - out->len < len)
		size = out->len + len + 4096;
	buf = size < out->size ? NULL : realloc(out->buf, size);
	if (buf == NULL)
		return (vm_fail(ENOMEM, "state stream: out of memory"));
	out->buf = buf;
	out->size = size;
	return (0);
}

static int
out_bytes(struct vm_state_out *out, const void *data, size_t len)
{
	if (out_room(out, len) != 0)
		return (-1);
	memcpy(out->buf + out->len, data, len);
	out->len += len;
	return (0);
}

static int
out_u8(struct vm_state_out *out, uint8_t val)
{
	return (out_bytes(out, &val, 1));
}

static int
out_u32(struct vm_state_out *out, uint32_t val)
{
	val = htole32(val);
	return (out_bytes(out, &val, 4));
}

/* A string of at most 255 bytes. */
static int
out_name(struct vm_state_out *out, const char *name)
{
	size_t len = strlen(name);

	return (out_u8(out, (uint8_t)len) != 0 ? -1 : out_bytes(out, name, len));
}

/* Put the number of bytes behind a length field into it. */
static int
out_patch(struct vm_state_out *out, size_t at)
{
	size_t len = out->len - at - 4;
	uint32_t val;

	if (len > UINT32_MAX - 4)
		return (vm_fail(EFBIG, "state stream: a field or section of 4 GiB and more"));
	val = htole32((uint32_t)len);
	memcpy(out->buf + at, &val, 4);
	return (0);
}

static int
out_scalar(struct vm_state_out *out, enum vm_field_type type, const uint8_t *p)
{
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;

	switch (type) {
	case VM_FIELD_U16:
		memcpy(&u16, p, 2);
		u16 = htole16(u16);
		return (out_bytes(out, &u16, 2));
	case VM_FIELD_U32:
		memcpy(&u32, p, 4);
		u32 = htole32(u32);
		return (out_bytes(out, &u32, 4));
	case VM_FIELD_U64:
		memcpy(&u64, p, 8);
		u64 = htole64(u64);
		return (out_bytes(out, &u64, 8));
	case VM_FIELD_BOOL:
		return (out_u8(out, *p != 0));
	default:
		return (out_u8(out, *p));
	}
}

static int	out_fields(struct vm_state_out *out, const struct vm_state_table *table, const uint8_t *obj);

static int
out_field(struct vm_state_out *out, const struct vm_state_field *f, const uint8_t *obj)
{
	const uint8_t *p = obj + f->offset;
	size_t at;

	if (out_u8(out, (uint8_t)f->type) != 0 || out_name(out, f->name) != 0 || out_u32(out, f->count) != 0)
		return (-1);
	at = out->len;
	if (out_u32(out, 0) != 0)
		return (-1);
	switch (f->type) {
	case VM_FIELD_U8:
	case VM_FIELD_BYTES:
		if (out_bytes(out, p, f->count) != 0)
			return (-1);
		break;
	case VM_FIELD_STRUCT:
		if (out_name(out, f->sub->name) != 0 || out_u32(out, f->sub->version) != 0)
			return (-1);
		for (uint32_t i = 0; i < f->count; i++) {
			if (out_fields(out, f->sub, p + (size_t)i * f->stride) != 0)
				return (-1);
		}
		break;
	default:
		for (uint32_t i = 0; i < f->count; i++) {
			if (out_scalar(out, f->type, p + (size_t)i * f->stride) != 0)
				return (-1);
		}
	}
	return (out_patch(out, at));
}

static int
out_fields(struct vm_state_out *out, const struct vm_state_table *table, const uint8_t *obj)
{
	if (out_u32(out, table->nfields) != 0)
		return (-1);
	for (uint32_t i = 0; i < table->nfields; i++) {
		if (out_field(out, &table->fields[i], obj) != 0)
			return (-1);
	}
	return (0);
}

struct vm_state_out *
vm_state_out_open(void)
{
	struct vm_state_out *out;

	out = calloc(1, sizeof(*out));
	if (out == NULL)
		return (vm_fail_null(ENOMEM, "state stream: out of memory"));
	/* the length and the number of sections are known at the end */
	if (out_bytes(out, STREAM_MAGIC, 8) != 0 || out_u32(out, STREAM_FORMAT) != 0 || out_u32(out, 0) != 0 ||
	    out_u32(out, 0) != 0 || out_u32(out, 0) != 0) {
		vm_state_out_close(out);
		return (NULL);
	}
	return (out);
}

/* Remember a section's name, refuse one that is there. */
static int
out_claim(struct vm_state_out *out, const char *cls, const char *instance)
{
	struct section_name *names;
	uint32_t max;

	for (uint32_t i = 0; i < out->nnames; i++) {
		if (strcmp(out->names[i].cls, cls) == 0 && strcmp(out->names[i].instance, instance) == 0)
			return (vm_fail(EEXIST, "state section '%s' '%s': written before", cls, instance));
	}
	if (out->nnames == out->maxnames) {
		max = out->maxnames == 0 ? 16 : out->maxnames * 2;
		names = realloc(out->names, max * sizeof(*names));
		if (names == NULL)
			return (vm_fail(ENOMEM, "state stream: out of memory"));
		out->names = names;
		out->maxnames = max;
	}
	snprintf(out->names[out->nnames].cls, sizeof(names->cls), "%s", cls);
	snprintf(out->names[out->nnames].instance, sizeof(names->instance), "%s", instance);
	out->nnames++;
	return (0);
}

static int
put_section(struct vm_state_out *out, const struct vm_state_table *table, const char *instance, const void *obj)
{
	size_t start = out->len;

	if (out_u32(out, 0) != 0 || out_name(out, table->name) != 0 || out_name(out, instance) != 0 ||
	    out_u32(out, table->version) != 0 || out_fields(out, table, obj) != 0 || out_patch(out, start) != 0)
		return (-1);
	return (out_u32(out, (uint32_t)crc32_z(0, out->buf + start, out->len - start)));
}

int
vm_state_put(struct vm_state_out *out, const struct vm_state_table *table, const char *instance, const void *obj)
{
	if (out == NULL)
		return (vm_fail(EINVAL, "vm_state_put: no stream"));
	if (out->error != 0)
		return (vm_fail(out->error, "state stream: writing an earlier section had failed"));
	if (instance == NULL || obj == NULL)
		vm_fail(EINVAL, "vm_state_put: no %s", instance == NULL ? "instance" : "object");
	else if (!instance_ok(instance, strlen(instance)))
		vm_fail(EINVAL, "state section: instance name is longer than %d bytes or not printable",
		    INSTANCE_MAXLEN);
	else if (table_check(table, 0) == 0 && out_claim(out, table->name, instance) == 0 &&
	    put_section(out, table, instance, obj) == 0)
		return (0);
	out->error = errno;
	return (-1);
}

const void *
vm_state_out_data(struct vm_state_out *out, size_t *len)
{
	uint32_t n, crc;
	uint64_t total;

	if (out == NULL || len == NULL)
		return (vm_fail_null(EINVAL, "vm_state_out_data: no stream or no place for the length"));
	if (out->error != 0)
		return (vm_fail_null(out->error, "state stream: writing a section had failed"));
	if (out_room(out, STREAM_TRAILER) != 0)
		return (NULL);
	n = htole32(out->nnames);
	memcpy(out->buf + 12, &n, 4);
	total = htole64((uint64_t)out->len + STREAM_TRAILER);
	memcpy(out->buf + 16, &total, 8);
	/* the trailer stays behind the end, so that another section can take its place */
	crc = htole32((uint32_t)crc32_z(0, out->buf, out->len));
	memcpy(out->buf + out->len, &crc, 4);
	*len = out->len + STREAM_TRAILER;
	return (out->buf);
}

void
vm_state_out_close(struct vm_state_out *out)
{
	if (out == NULL)
		return;
	free(out->names);
	free(out->buf);
	free(out);
}

/* SECTION: reading */

static bool
take(struct cursor *c, size_t len, const uint8_t **p)
{
	if (c->left < len)
		return (false);
	*p = c->p;
	c->p += len;
	c->left -= len;
	return (true);
}

static bool
take_u8(struct cursor *c, uint8_t *val)
{
	const uint8_t *p;

	if (!take(c, 1, &p))
		return (false);
	*val = *p;
	return (true);
}

static bool
take_u32(struct cursor *c, uint32_t *val)
{
	const uint8_t *p;

	if (!take(c, 4, &p))
		return (false);
	memcpy(val, p, 4);
	*val = le32toh(*val);
	return (true);
}

static bool
take_name(struct cursor *c, const char **name, uint8_t *len)
{
	const uint8_t *p;

	if (!take_u8(c, len) || !take(c, *len, &p))
		return (false);
	*name = (const char *)p;
	return (true);
}

static uint32_t
stored_crc(const uint8_t *p)
{
	uint32_t crc;

	memcpy(&crc, p, 4);
	return (le32toh(crc));
}

static int
compare_names(const struct section *a, const char *cls, size_t clslen, const char *instance, size_t instlen)
{
	int r;

	r = memcmp(a->cls, cls, a->clslen < clslen ? a->clslen : clslen);
	if (r == 0)
		r = (a->clslen > clslen) - (a->clslen < clslen);
	if (r != 0)
		return (r);
	r = memcmp(a->instance, instance, a->instlen < instlen ? a->instlen : instlen);
	return (r != 0 ? r : (a->instlen > instlen) - (a->instlen < instlen));
}

static int
compare_sections(const void *pa, const void *pb)
{
	const struct section *b = pb;

	return (compare_names(pa, b->cls, b->clslen, b->instance, b->instlen));
}

/* Frame of one section: its length, checksum and head. */
static int
index_section(struct cursor *stream, struct section *s, uint32_t order)
{
	const uint8_t *start = stream->p, *body, *crc;
	struct cursor c;
	uint32_t len;

	if (!take_u32(stream, &len) || !take(stream, len, &body) || !take(stream, 4, &crc))
		return (vm_fail(EILSEQ, "state stream: section %u is cut off", order));
	if (stored_crc(crc) != (uint32_t)crc32_z(0, start, (size_t)len + 4))
		return (vm_fail(EILSEQ, "state stream: section %u is damaged (checksum)", order));
	c = (struct cursor){ .p = body, .left = len };
	if (!take_name(&c, &s->cls, &s->clslen) || !take_name(&c, &s->instance, &s->instlen) ||
	    !take_u32(&c, &s->version) || !take_u32(&c, &s->nfields))
		return (vm_fail(EILSEQ, "state stream: section %u is too short", order));
	if (!name_ok(s->cls, s->clslen, NAME_MAXLEN) || !instance_ok(s->instance, s->instlen))
		return (vm_fail(EILSEQ, "state stream: section %u has no usable name", order));
	s->body = c.p;
	s->len = c.left;
	s->order = order;
	return (0);
}

static int
index_stream(struct vm_state_in *in, struct cursor *stream)
{
	const struct section *a, *b;

	for (uint32_t i = 0; i < in->nsections; i++) {
		if (index_section(stream, &in->sections[i], i) != 0)
			return (-1);
	}
	if (stream->left != 0)
		return (vm_fail(EILSEQ, "state stream: %zu bytes behind the last section", stream->left));
	if (in->nsections == 0)
		return (0);
	qsort(in->sections, in->nsections, sizeof(in->sections[0]), compare_sections);
	for (uint32_t i = 1; i < in->nsections; i++) {
		a = &in->sections[i - 1];
		b = &in->sections[i];
		if (compare_sections(a, b) == 0)
			return (vm_fail(EILSEQ, "state stream: section '%.*s' '%.*s' is there twice", a->clslen,
			    a->cls, a->instlen, a->instance));
	}
	return (0);
}

struct vm_state_in *
vm_state_in_open(const void *data, size_t len)
{
	struct vm_state_in *in;
	struct cursor c;
	uint32_t format;
	uint64_t total;
	const uint8_t *p;

	if (data == NULL)
		return (vm_fail_null(EINVAL, "vm_state_in_open: no data"));
	c = (struct cursor){ .p = data, .left = len };
	if (!take(&c, 8, &p) || memcmp(p, STREAM_MAGIC, 8) != 0)
		return (vm_fail_null(EILSEQ, "state stream: this is none"));
	/* the format is looked at first: what follows it is the format's business */
	if (!take_u32(&c, &format))
		return (vm_fail_null(EILSEQ, "state stream: cut off in its header"));
	if (format != STREAM_FORMAT)
		return (vm_fail_null(ENOTSUP, "state stream: format %u is not known here (only %u)", format,
		    STREAM_FORMAT));
	if (len < STREAM_HEADER + STREAM_TRAILER)
		return (vm_fail_null(EILSEQ, "state stream: cut off in its header"));
	p = data;
	memcpy(&total, p + 16, 8);
	if (le64toh(total) != len)
		return (vm_fail_null(EILSEQ, "state stream: %zu bytes are here, %llu were written", len,
		    (unsigned long long)le64toh(total)));
	if (stored_crc(p + len - STREAM_TRAILER) != (uint32_t)crc32_z(0, p, len - STREAM_TRAILER))
		return (vm_fail_null(EILSEQ, "state stream: damaged (checksum)"));
	in = calloc(1, sizeof(*in));
	if (in == NULL)
		return (vm_fail_null(ENOMEM, "state stream: out of memory"));
	memcpy(&in->nsections, p + 12, 4);
	in->nsections = le32toh(in->nsections);
	c = (struct cursor){ .p = p + STREAM_HEADER, .left = len - STREAM_HEADER - STREAM_TRAILER };
	if (in->nsections > c.left / SECTION_MIN) {
		vm_fail(EILSEQ, "state stream: %u sections do not fit in it", in->nsections);
		goto fail;
	}
	if (in->nsections != 0) {
		in->sections = calloc(in->nsections, sizeof(in->sections[0]));
		if (in->sections == NULL) {
			vm_fail(ENOMEM, "state stream: out of memory");
			goto fail;
		}
	}
	if (index_stream(in, &c) != 0)
		goto fail;
	return (in);
fail:
	vm_state_in_close(in);
	return (NULL);
}

/* Where an error is: "class 'instance'", and the path of fields to it. */
struct where {
	const struct section *section;
	char		 path[160];
};

static int bad(const struct where *w, int error, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int
bad(const struct where *w, int error, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return (vm_fail(error, "state section '%.*s' '%.*s'%s: %s", w->section->clslen, w->section->cls,
	    w->section->instlen, w->section->instance, w->path, text));
}

/* Extend the path by a field; returns what path_pop() needs. */
static size_t
path_push(struct where *w, const struct vm_state_field *f, uint32_t i)
{
	size_t len = strlen(w->path);

	if (f->count == 1)
		snprintf(w->path + len, sizeof(w->path) - len, "%s%s", len == 0 ? ", " : ".", f->name);
	else
		snprintf(w->path + len, sizeof(w->path) - len, "%s%s[%u]", len == 0 ? ", " : ".", f->name, i);
	return (len);
}

static void
path_pop(struct where *w, size_t len)
{
	w->path[len] = '\0';
}

/*
 * Read a table's fields from the stream.  With obj NULL everything is checked and nothing stored;
 * after that succeeded, the same walk with an object cannot fail.
 */
static int	get_fields(struct where *w, struct cursor *c, const struct vm_state_table *table, uint32_t version,
		    uint32_t nfields, uint8_t *obj);

static int
check_version(const struct where *w, const struct vm_state_table *table, uint32_t version)
{
	if (version == 0 || version < table->oldest)
		return (bad(w, ENOTSUP, "version %u is older than what is read here (%u to %u)", version,
		    table->oldest, table->version));
	if (version > table->version)
		return (bad(w, ENOTSUP, "version %u is newer than what is known here (up to %u)", version,
		    table->version));
	return (0);
}

static int
get_structs(struct where *w, const struct vm_state_field *f, struct cursor *c, uint8_t *obj)
{
	const char *name;
	uint32_t version, nfields;
	uint8_t len;
	size_t mark;

	if (!take_name(c, &name, &len) || !take_u32(c, &version))
		return (bad(w, EILSEQ, "field '%s' is cut off", f->name));
	if (strlen(f->sub->name) != len || memcmp(f->sub->name, name, len) != 0)
		return (bad(w, EILSEQ, "field '%s' is no '%s'", f->name, f->sub->name));
	for (uint32_t i = 0; i < f->count; i++) {
		mark = path_push(w, f, i);
		if (check_version(w, f->sub, version) != 0)
			return (-1);
		if (!take_u32(c, &nfields))
			return (bad(w, EILSEQ, "it is cut off"));
		if (get_fields(w, c, f->sub, version, nfields,
		    obj == NULL ? NULL : obj + f->offset + (size_t)i * f->stride) != 0)
			return (-1);
		path_pop(w, mark);
	}
	if (c->left != 0)
		return (bad(w, EILSEQ, "field '%s' has %zu bytes too many", f->name, c->left));
	return (0);
}

static void
store_scalar(enum vm_field_type type, const uint8_t *p, uint8_t *to)
{
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;
	bool b;

	switch (type) {
	case VM_FIELD_U16:
		memcpy(&u16, p, 2);
		u16 = le16toh(u16);
		memcpy(to, &u16, 2);
		break;
	case VM_FIELD_U32:
		memcpy(&u32, p, 4);
		u32 = le32toh(u32);
		memcpy(to, &u32, 4);
		break;
	case VM_FIELD_U64:
		memcpy(&u64, p, 8);
		u64 = le64toh(u64);
		memcpy(to, &u64, 8);
		break;
	case VM_FIELD_BOOL:
		b = *p != 0;
		memcpy(to, &b, 1);
		break;
	default:
		*to = *p;
	}
}

static int
get_payload(struct where *w, const struct vm_state_field *f, struct cursor *c, uint8_t *obj)
{
	size_t size = type_size(f->type);

	if (f->type == VM_FIELD_STRUCT)
		return (get_structs(w, f, c, obj));
	if (c->left != (uint64_t)size * f->count)
		return (bad(w, EILSEQ, "field '%s' has %zu bytes, not %llu", f->name, c->left,
		    (unsigned long long)size * f->count));
	if (f->type == VM_FIELD_BOOL) {
		for (uint32_t i = 0; i < f->count; i++) {
			if (c->p[i] > 1)
				return (bad(w, EILSEQ, "field '%s' has a truth value of %u", f->name, c->p[i]));
		}
	}
	for (uint32_t i = 0; obj != NULL && i < f->count; i++)
		store_scalar(f->type, c->p + i * size, obj + f->offset + (size_t)i * f->stride);
	return (0);
}

/* The declared field of that name; streams are mostly in the table's order, so the hint mostly hits. */
static const struct vm_state_field *
find_field(const struct vm_state_table *table, uint32_t hint, const char *name, size_t len)
{
	const struct vm_state_field *f;

	for (uint32_t i = 0; i < table->nfields; i++) {
		f = &table->fields[(hint + i) % table->nfields];
		if (strlen(f->name) == len && memcmp(f->name, name, len) == 0)
			return (f);
	}
	return (NULL);
}

static int
get_fields(struct where *w, struct cursor *c, const struct vm_state_table *table, uint32_t version,
    uint32_t nfields, uint8_t *obj)
{
	uint64_t seen[FIELDS_MAX / 64] = { 0 };
	const struct vm_state_field *f;
	struct cursor payload;
	const char *name;
	uint32_t i, count, len, index;
	uint8_t type, namelen;

	for (i = 0; i < nfields; i++) {
		if (!take_u8(c, &type) || !take_name(c, &name, &namelen) || !take_u32(c, &count) ||
		    !take_u32(c, &len) || !take(c, len, &payload.p))
			return (bad(w, EILSEQ, "it is cut off at field %u", i));
		payload.left = len;
		if (!name_ok(name, namelen, NAME_MAXLEN))
			return (bad(w, EILSEQ, "field %u has no usable name", i));
		f = find_field(table, i, name, namelen);
		if (f == NULL)
			return (bad(w, EILSEQ, "field '%.*s' is not known here", namelen, name));
		if (field_since(f) > version)
			return (bad(w, EILSEQ, "field '%s' does not belong to version %u", f->name, version));
		index = (uint32_t)(f - table->fields);
		if ((seen[index / 64] >> (index % 64) & 1) != 0)
			return (bad(w, EILSEQ, "field '%s' is there twice", f->name));
		seen[index / 64] |= 1ULL << (index % 64);
		if (type != f->type || count != f->count)
			return (bad(w, EILSEQ, "field '%s' is of another type or count", f->name));
		if (get_payload(w, f, &payload, obj) != 0)
			return (-1);
	}
	for (i = 0; i < table->nfields; i++) {
		if (field_since(&table->fields[i]) <= version && (seen[i / 64] >> (i % 64) & 1) == 0)
			return (bad(w, EILSEQ, "field '%s' is missing", table->fields[i].name));
	}
	return (0);
}

/* Bytes of the declared fields of an object, and their copy out of it (save) or back into it. */
static size_t
fields_size(const struct vm_state_table *table)
{
	const struct vm_state_field *f;
	size_t size = 0;

	for (uint32_t i = 0; i < table->nfields; i++) {
		f = &table->fields[i];
		size += f->count * (f->type == VM_FIELD_STRUCT ? fields_size(f->sub) : type_size(f->type));
	}
	return (size);
}

static uint8_t *
fields_copy(const struct vm_state_table *table, uint8_t *obj, uint8_t *copy, bool save)
{
	const struct vm_state_field *f;
	uint8_t *p;
	size_t size;

	for (uint32_t i = 0; i < table->nfields; i++) {
		f = &table->fields[i];
		p = obj + f->offset;
		if (f->type == VM_FIELD_STRUCT) {
			for (uint32_t j = 0; j < f->count; j++)
				copy = fields_copy(f->sub, p + (size_t)j * f->stride, copy, save);
			continue;
		}
		size = type_size(f->type) * f->count;	/* stride is the type's size: table_check() */
		if (save)
			memcpy(copy, p, size);
		else
			memcpy(p, copy, size);
		copy += size;
	}
	return (copy);
}

/* The tables' check functions, inner ones first. */
static int
run_checks(const struct vm_state_table *table, uint8_t *obj)
{
	const struct vm_state_field *f;

	for (uint32_t i = 0; i < table->nfields; i++) {
		f = &table->fields[i];
		for (uint32_t j = 0; f->type == VM_FIELD_STRUCT && j < f->count; j++) {
			if (run_checks(f->sub, obj + f->offset + (size_t)j * f->stride) != 0)
				return (-1);
		}
	}
	if (table->check == NULL)
		return (0);
	errno = 0;
	if (table->check(obj) == 0)
		return (0);
	return (errno != 0 ? -1 : vm_fail(EILSEQ, "values that do not go together"));
}

static struct section *
find_section(struct vm_state_in *in, const char *cls, const char *instance)
{
	size_t clslen = strlen(cls), instlen = strlen(instance);
	uint32_t lo = 0, hi = in->nsections, mid;
	int r;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		r = compare_names(&in->sections[mid], cls, clslen, instance, instlen);
		if (r == 0)
			return (&in->sections[mid]);
		if (r < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (NULL);
}

/* Fill the object from a section that was found good, and undo that if the tables' checks refuse it. */
static int
commit_section(struct where *w, const struct vm_state_table *table, uint8_t *obj)
{
	const struct section *s = w->section;
	struct cursor c = { .p = s->body, .left = s->len };
	char text[256];
	uint8_t *copy;
	int error;

	copy = malloc(fields_size(table) + 1);
	if (copy == NULL)
		return (bad(w, ENOMEM, "out of memory"));
	fields_copy(table, obj, copy, true);
	if (get_fields(w, &c, table, s->version, s->nfields, obj) == 0 && run_checks(table, obj) == 0) {
		free(copy);
		return (0);
	}
	error = errno;
	snprintf(text, sizeof(text), "%s", vm_errmsg());
	fields_copy(table, obj, copy, false);
	free(copy);
	return (bad(w, error, "%s", text));
}

int
vm_state_get(struct vm_state_in *in, const struct vm_state_table *table, const char *instance, void *obj)
{
	struct where w = { .path = "" };
	struct section *s;
	struct cursor c;

	if (in == NULL || instance == NULL || obj == NULL)
		return (vm_fail(EINVAL, "vm_state_get: no %s", in == NULL ? "stream" : instance == NULL ?
		    "instance" : "object"));
	if (table_check(table, 0) != 0)
		return (-1);
	s = find_section(in, table->name, instance);
	if (s == NULL)
		return (vm_fail(ENOENT, "state stream: no section '%s' '%s'", table->name, instance));
	w.section = s;
	if (s->taken)
		return (bad(&w, EALREADY, "it was read before"));
	if (check_version(&w, table, s->version) != 0)
		return (-1);
	c = (struct cursor){ .p = s->body, .left = s->len };
	if (s->nfields > s->len / FIELD_MIN)
		return (bad(&w, EILSEQ, "%u fields do not fit in it", s->nfields));
	if (get_fields(&w, &c, table, s->version, s->nfields, NULL) != 0)
		return (-1);
	if (c.left != 0)
		return (bad(&w, EILSEQ, "%zu bytes behind the last field", c.left));
	w.path[0] = '\0';
	if (commit_section(&w, table, obj) != 0)
		return (-1);
	s->taken = true;
	return (0);
}

bool
vm_state_has(struct vm_state_in *in, const char *cls, const char *instance)
{
	size_t len;

	if (in == NULL || cls == NULL)
		return (false);
	if (instance != NULL)
		return (find_section(in, cls, instance) != NULL);
	len = strlen(cls);
	for (uint32_t i = 0; i < in->nsections; i++) {
		if (in->sections[i].clslen == len && memcmp(in->sections[i].cls, cls, len) == 0)
			return (true);
	}
	return (false);
}

int
vm_state_in_done(struct vm_state_in *in)
{
	const struct section *s, *first = NULL;

	if (in == NULL)
		return (vm_fail(EINVAL, "vm_state_in_done: no stream"));
	for (uint32_t i = 0; i < in->nsections; i++) {
		s = &in->sections[i];
		if (!s->taken && (first == NULL || s->order < first->order))
			first = s;
	}
	if (first == NULL)
		return (0);
	return (vm_fail(ENOTSUP, "state section '%.*s' '%.*s': nothing here takes it", first->clslen, first->cls,
	    first->instlen, first->instance));
}

void
vm_state_in_close(struct vm_state_in *in)
{
	if (in == NULL)
		return;
	free(in->sections);
	free(in);
}
