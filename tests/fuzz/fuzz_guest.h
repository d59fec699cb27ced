/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_guest.h - for targets whose input is a series of operations of a guest: numbers out of it, and the way through a snapshot.
 */
#ifndef _FUZZ_GUEST_H_
#define	_FUZZ_GUEST_H_

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <vmmapi/state.h>

/* The next n bytes of an input as a number; what is not there is 0. */
static inline uint64_t
fuzz_bytes(const uint8_t **p, const uint8_t *end, unsigned n)
{
	uint64_t val = 0;

	for (unsigned i = 0; i < n && *p < end; i++)
		val |= (uint64_t)*(*p)++ << (8 * i);
	return (val);
}

/* Valid inputs of a target, for fuzz_seed(). */
struct fuzz_input {
	const uint8_t	*bytes;
	size_t		 len;
};

static inline size_t
fuzz_input(const struct fuzz_input *inputs, size_t ninputs, unsigned n, uint8_t *buf, size_t max)
{
	if (n >= ninputs || inputs[n].len > max)
		return (0);
	memcpy(buf, inputs[n].bytes, inputs[n].len);
	return (inputs[n].len);
}

/* Save arg and load it back: what it can be in, it can be loaded into. */
static inline void
fuzz_state(void *arg, int (*save)(void *arg, struct vm_state_out *out), int (*load)(void *arg, struct vm_state_in *in))
{
	struct vm_state_out *out = vm_state_out_open();
	struct vm_state_in *in;
	const void *data;
	size_t len;

	if (out == NULL || save(arg, out) != 0 || (data = vm_state_out_data(out, &len)) == NULL ||
	    (in = vm_state_in_open(data, len)) == NULL || load(arg, in) != 0)
		abort();
	vm_state_in_close(in);
	vm_state_out_close(out);
}

#endif /* _FUZZ_GUEST_H_ */
