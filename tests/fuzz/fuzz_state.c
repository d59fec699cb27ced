/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_state.c - state streams of a hostile sender: into tables, into VMs, and a few instructions
 * of whatever processor came out.
 *
 * The first byte says what is done to the rest: bit 0, give it good checksums and lengths, which no
 * fuzzer would guess; bit 1, load it into an arm64 VM, else an amd64 one; bit 2, run.  With bit 3
 * the rest are changes to a good stream of a started VM, 7 bytes each: where (3 bytes) and what (4
 * bytes).
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <vmmapi.h>
#include <vmmapi/amd64.h>
#include <vmmapi/arm64.h>
#include <vmmapi/state.h>

#include "fuzz.h"

#define	RAM	(2UL << 20)
#define	MAXLEN	65536

/* SECTION: a table of everything */

struct leaf {
	uint8_t		 u8;
	bool		 yes[3];
	uint32_t	 words[2];
};

struct node {
	uint16_t	 u16;
	struct leaf	 leaf[3];
	uint64_t	 u64;
	char		 text[9];
};

struct tree {
	struct node	 node[2];
	uint32_t	 u32;
	uint32_t	 younger;
};

static int
check_leaf(void *obj)
{
	const struct leaf *l = obj;

	return (l->u8 == 0x5a ? vm_state_complain("u8 is %u", l->u8) : 0);
}

static const struct vm_state_field leaf_fields[] = {
	VM_STATE_U8(struct leaf, u8),
	VM_STATE_BOOLS(struct leaf, yes),
	VM_STATE_U32S(struct leaf, words),
};
static const struct vm_state_table leaf_table = VM_STATE_TABLE("leaf", 2, 1, leaf_fields, check_leaf);
static const struct vm_state_field node_fields[] = {
	VM_STATE_U16(struct node, u16),
	VM_STATE_STRUCTS(struct node, leaf, &leaf_table),
	VM_STATE_U64(struct node, u64),
	VM_STATE_BYTES(struct node, text),
};
static const struct vm_state_table node_table = VM_STATE_TABLE("node", 1, 1, node_fields, NULL);
static const struct vm_state_field tree_fields[] = {
	VM_STATE_STRUCTS(struct tree, node, &node_table),
	VM_STATE_U32(struct tree, u32),
	VM_STATE_FIELD_(struct tree, younger, VM_FIELD_U32, 3),
};
static const struct vm_state_table tree_table = VM_STATE_TABLE("tree", 3, 1, tree_fields, NULL);

/* SECTION: VMs to load into, one of each architecture, kept from input to input */

static struct vmctx *vms[2];
static struct vcpu *vcpus[2];

static void
kick(void *vcpu)
{
	(void)vm_vcpu_kick(vcpu);
}

static void
discard(int arch)
{
	vm_close(vms[arch]);
	vms[arch] = NULL;
}

static struct vmctx *
vm(int arch)
{
	struct vm_spec spec = { .size = sizeof(spec), .accel = VM_ACCEL_SOFT, .clock = VM_CLOCK_ICOUNT,
	    .arch = arch != 0 ? VM_ARCH_ARM64 : VM_ARCH_AMD64 };

	if (vms[arch] != NULL)
		return (vms[arch]);
	vms[arch] = vm_new(&spec);
	if (vms[arch] == NULL || vm_setup_memory(vms[arch], RAM, VM_MMAP_ALL) != 0)
		abort();
	if (arch != 0 && vm_attach_vgic(vms[arch], 0x8000000, 0x10000, 0x80a0000, 0x40000) != 0)
		abort();
	vcpus[arch] = vm_vcpu_open(vms[arch], 0);
	if (vcpus[arch] == NULL || vm_vcpu_open(vms[arch], 1) == NULL)
		abort();
	return (vms[arch]);
}

/* Some instructions, unless it is idle; virtual time makes that a number. */
static void
run(int arch)
{
	struct vm_timer *timer = vm_timer_open(vms[arch], 1000000000, kick, vcpus[arch]);
	struct vm_exit exit;

	if (timer == NULL)
		abort();
	(void)vm_unsuspend(vms[arch]);
	(void)vm_timer_arm(timer, vm_timer_count(timer) + 300);
	for (int i = 0; i < 20 && vm_run(vcpus[arch], &exit) == 0; i++) {
		if (exit.code == VM_EXIT_KICKED || exit.code == VM_EXIT_SUSPENDED || exit.code == VM_EXIT_ERROR)
			break;
	}
	vm_timer_close(timer);
	/* the kick must not be left for the next one */
	discard(arch);
}

/* SECTION: good checksums */

static void
set32(uint8_t *p, uint32_t val)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(val >> (8 * i));
}

static void
seal(uint8_t *p, size_t len)
{
	uint64_t total = len;
	size_t at = 24;
	uint32_t n;

	if (len < 28)
		return;
	memcpy(p, "HYVESTAT\1\0\0\0", 12);
	for (int i = 0; i < 8; i++)
		p[16 + i] = (uint8_t)(total >> (8 * i));
	while (at + 8 <= len - 4) {
		n = p[at] | (uint32_t)p[at + 1] << 8 | (uint32_t)p[at + 2] << 16 | (uint32_t)p[at + 3] << 24;
		if (n > len - 4 - at - 8)
			break;
		set32(p + at + 4 + n, (uint32_t)crc32(0, p + at, n + 4));
		at += n + 8;
	}
	set32(p + len - 4, (uint32_t)crc32(0, p, (uInt)(len - 4)));
}

static void
into_tables(struct vm_state_in *in)
{
	struct tree tree, before;

	memset(&tree, 0x33, sizeof(tree));
	for (int i = 0; i < 3; i++) {
		for (int j = 0; j < 2; j++)
			memset(tree.node[j].leaf[i].yes, 1, sizeof(tree.node[j].leaf[i].yes));
	}
	before = tree;
	if (vm_state_has(in, "tree", NULL) && vm_state_get(in, &tree_table, "", &tree) != 0) {
		/* nothing of a refused section is kept */
		if (memcmp(&tree, &before, sizeof(tree)) != 0 || vm_errmsg()[0] == '\0')
			abort();
	}
	(void)vm_state_in_done(in);
}

/* The stream that the input describes; the caller frees it. */
static uint8_t *
stream_of(const uint8_t *data, size_t size, size_t *len)
{
	uint8_t *p = malloc(MAXLEN);
	size_t at;

	if (p == NULL)
		abort();
	if ((data[0] & 8) == 0) {
		*len = size - 1 < MAXLEN ? size - 1 : MAXLEN;
		memcpy(p, data + 1, *len);
	} else {
		*len = fuzz_seed(2 + (data[0] >> 1 & 1), p, MAXLEN) - 1;
		memmove(p, p + 1, *len);
		for (size_t i = 1; i + 7 <= size; i += 7) {
			at = (data[i] | (size_t)data[i + 1] << 8 | (size_t)data[i + 2] << 16) % (*len - 3);
			memcpy(p + at, data + i + 3, 4);
		}
	}
	if ((data[0] & 9) != 0)
		seal(p, *len);
	return (p);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vm_state_in *in;
	uint8_t *copy;
	size_t len;
	int arch;

	if (size < 1)
		return (0);
	copy = stream_of(data, size, &len);
	in = vm_state_in_open(copy, len);
	if (in != NULL) {
		into_tables(in);
		arch = data[0] >> 1 & 1;
		if (vm_state_load(vm(arch), in) == 0) {
			if ((data[0] & 4) != 0)
				run(arch);
		} else if (vm_errmsg()[0] == '\0')
			abort();
		else if (vm_accel_name(vms[arch]) != NULL)
			discard(arch);		/* half loaded; a fresh one is cheap enough */
		vm_state_in_close(in);
	}
	free(copy);
	return (0);
}

/* SECTION: seeds */

static size_t
seed_of(struct vm_state_out *out, uint8_t mode, uint8_t *buf, size_t max)
{
	const void *data;
	size_t len;

	data = vm_state_out_data(out, &len);
	if (data == NULL || len + 1 > max)
		abort();
	buf[0] = mode;
	memcpy(buf + 1, data, len);
	vm_state_out_close(out);
	return (len + 1);
}

size_t
fuzz_seed(unsigned n, uint8_t *buf, size_t max)
{
	static uint8_t *kept[6];
	static size_t keptlen[6];
	struct vm_state_out *out;
	struct tree tree;
	int arch;

	if (n >= 70)
		return (0);
	if (n >= 6) {
		/* changes to a good stream; what the driver makes of them is all over it */
		memset(buf, (int)(n * 37), 29);
		buf[0] = (uint8_t)(8 | 4 | (n & 1) << 1);
		return (n % 3 == 0 ? 8 : n % 3 == 1 ? 15 : 29);
	}
	if (kept[n] == NULL) {
		out = vm_state_out_open();
		memset(&tree, 0, sizeof(tree));
		tree.u32 = 7;
		if (out == NULL)
			abort();
		arch = (int)n & 1;
		if (n >= 4) {
			if (vm_state_put(out, &tree_table, "", &tree) != 0)
				abort();
		} else {
			discard(arch);
			if ((n >= 2 && vm_start(vm(arch)) != 0) || vm_state_save(vm(arch), out) != 0)
				abort();
			discard(arch);
		}
		keptlen[n] = seed_of(out, (uint8_t)(1 | arch << 1 | (n >= 2 ? 4 : 0)), buf, max);
		kept[n] = malloc(keptlen[n]);
		if (kept[n] == NULL)
			abort();
		memcpy(kept[n], buf, keptlen[n]);
	}
	memcpy(buf, kept[n], keptlen[n]);
	return (keptlen[n]);
}
