/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmmapi/state.h - state as data: declared fields, written to and read from a self-describing stream.
 *
 * A struct that must survive a snapshot is described by a table of its fields.  Nothing else is ever written:
 * no padding, no pointer, no host layout.  Integers are little-endian on the wire.  A stream is a sequence of
 * sections named by class and instance, each with a version, its fields by name and a CRC-32; a reader takes
 * sections in any order, and each must be consumed whole.
 *
 * A stream is hostile input: every length is checked against what is left and what the table declares.
 */
#ifndef _VMMAPI_STATE_H_
#define	_VMMAPI_STATE_H_

#include <vmmapi.h>

#ifdef __cplusplus
extern "C" {
#endif

enum vm_field_type {
	VM_FIELD_U8 = 1,
	VM_FIELD_U16,
	VM_FIELD_U32,
	VM_FIELD_U64,
	VM_FIELD_BOOL,		/* one byte, 0 or 1; anything else is refused */
	VM_FIELD_BYTES,		/* count bytes as they are */
	VM_FIELD_STRUCT,	/* count times the struct of sub */
};

/* One field of a struct. */
struct vm_state_field {
	const char		*name;		/* at most 31 bytes; unique in its table */
	enum vm_field_type	 type;
	uint32_t		 offset;	/* in the struct */
	uint32_t		 count;		/* elements; 1 for a scalar */
	uint32_t		 stride;	/* bytes from element to element */
	uint32_t		 since;		/* first version that has it; older streams leave it as it is */
	const struct vm_state_table *sub;	/* VM_FIELD_STRUCT */
};

/* The fields of a struct, with the version that is written and the oldest that is read. */
struct vm_state_table {
	const char		*name;		/* class, at most 31 bytes */
	uint32_t		 version;
	uint32_t		 oldest;
	const struct vm_state_field *fields;
	uint32_t		 nfields;
	/*
	 * Called after all fields were read and before anyone uses them: refuse what no sane sender sends (-1 with errno and
	 * vm_state_complain()), recompute what is derived.  May be NULL.
	 */
	int			(*check)(void *obj);
};

#define	VM_STATE_FIELD_(s, m, t, sincev)						\
	{ .name = #m, .type = (t), .offset = offsetof(s, m), .count = 1,		\
	  .stride = sizeof(((s *)0)->m), .since = (sincev) }
#define	VM_STATE_ARRAY_(s, m, t, sincev)						\
	{ .name = #m, .type = (t), .offset = offsetof(s, m),				\
	  .count = sizeof(((s *)0)->m) / sizeof(((s *)0)->m[0]),			\
	  .stride = sizeof(((s *)0)->m[0]), .since = (sincev) }

#define	VM_STATE_U8(s, m)	VM_STATE_FIELD_(s, m, VM_FIELD_U8, 1)
#define	VM_STATE_U16(s, m)	VM_STATE_FIELD_(s, m, VM_FIELD_U16, 1)
#define	VM_STATE_U32(s, m)	VM_STATE_FIELD_(s, m, VM_FIELD_U32, 1)
#define	VM_STATE_U64(s, m)	VM_STATE_FIELD_(s, m, VM_FIELD_U64, 1)
#define	VM_STATE_BOOL(s, m)	VM_STATE_FIELD_(s, m, VM_FIELD_BOOL, 1)
#define	VM_STATE_U8S(s, m)	VM_STATE_ARRAY_(s, m, VM_FIELD_U8, 1)
#define	VM_STATE_U16S(s, m)	VM_STATE_ARRAY_(s, m, VM_FIELD_U16, 1)
#define	VM_STATE_U32S(s, m)	VM_STATE_ARRAY_(s, m, VM_FIELD_U32, 1)
#define	VM_STATE_U64S(s, m)	VM_STATE_ARRAY_(s, m, VM_FIELD_U64, 1)
#define	VM_STATE_BOOLS(s, m)	VM_STATE_ARRAY_(s, m, VM_FIELD_BOOL, 1)
#define	VM_STATE_BYTES(s, m)								\
	{ .name = #m, .type = VM_FIELD_BYTES, .offset = offsetof(s, m),			\
	  .count = sizeof(((s *)0)->m), .stride = 1, .since = 1 }
#define	VM_STATE_STRUCT(s, m, t)							\
	{ .name = #m, .type = VM_FIELD_STRUCT, .offset = offsetof(s, m), .count = 1,	\
	  .stride = sizeof(((s *)0)->m), .since = 1, .sub = (t) }
#define	VM_STATE_STRUCTS(s, m, t)							\
	{ .name = #m, .type = VM_FIELD_STRUCT, .offset = offsetof(s, m),		\
	  .count = sizeof(((s *)0)->m) / sizeof(((s *)0)->m[0]),			\
	  .stride = sizeof(((s *)0)->m[0]), .since = 1, .sub = (t) }
/* A table from an array of fields. */
#define	VM_STATE_TABLE(nm, ver, old, arr, chk)						\
	{ .name = (nm), .version = (ver), .oldest = (old), .fields = (arr),		\
	  .nfields = sizeof(arr) / sizeof((arr)[0]), .check = (chk) }

/*
 * SECTION: State streams
 */

/* Start a stream in memory.  Errors: ENOMEM.  Threads: any; one stream is one thread's at a time. */
VM_PUBLIC struct vm_state_out *vm_state_out_open(void);

/*
 * Append obj as section (table's class, instance).  After a failure every later call fails too.
 *
 * Errors: ENOMEM, EINVAL (instance too long), EEXIST (section written before).
 * Threads: one per stream at a time.
 */
VM_PUBLIC int vm_state_put(struct vm_state_out *out, const struct vm_state_table *table, const char *instance,
    const void *obj);

/* The finished stream, valid until the close; NULL if a put had failed.  Threads: one per stream at a time. */
VM_PUBLIC const void *vm_state_out_data(struct vm_state_out *out, size_t *len);

/* Free a stream.  NULL is ignored.  Threads: one per stream at a time. */
VM_PUBLIC void vm_state_out_close(struct vm_state_out *out);

/*
 * Check the frame of a stream (magic, lengths, checksums) and index its sections.  The data must stay as it is until the
 * close.
 *
 * Errors: EILSEQ (damaged), ENOTSUP (format version), ENOMEM.
 * Threads: one per stream at a time.
 */
VM_PUBLIC struct vm_state_in *vm_state_in_open(const void *data, size_t len);

/*
 * Read section (table's class, instance) into obj.  Every field of the stream must be declared, and every declared field of the
 * stream's version present.  On failure obj is unchanged.
 *
 * Errors: ENOENT (no such section), EILSEQ (fields do not fit the table), ENOTSUP (version), EALREADY (taken before), and those
 * of the table's check.
 * Threads: one per stream at a time.
 */
VM_PUBLIC int vm_state_get(struct vm_state_in *in, const struct vm_state_table *table, const char *instance,
    void *obj);

/* Whether the stream has a section (cls, instance).  instance NULL: any.  Threads: one per stream at a time. */
VM_PUBLIC bool vm_state_has(struct vm_state_in *in, const char *cls, const char *instance);

/* Fail with ENOTSUP and name the first section that nobody took, if there is one.  Threads: one per stream at a time. */
VM_PUBLIC int vm_state_in_done(struct vm_state_in *in);

/* Free the index.  NULL is ignored.  Threads: one per stream at a time. */
VM_PUBLIC void vm_state_in_close(struct vm_state_in *in);

/* For check functions: set the sentence of the failure and return -1 with errno EILSEQ.  Threads: one per stream at a time. */
VM_PUBLIC int vm_state_complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#ifdef __cplusplus
}
#endif

#endif /* _VMMAPI_STATE_H_ */
