/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm.c - cases on a whole processor: a virtual machine whose payload (cases.S) does what the oracle does.
 */
#include <stdlib.h>
#include <string.h>

#include "../functional/harness.h"
#include "diff_arm64.h"

/* As cases.S has it. */
#define	SLOTS		0x40300000UL
#define	STATES		0x40800000UL
#define	SVC		0xd4000001U

struct vm {
	struct h_vm	*h;
};

struct vm *
vm_side_open(void)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	CHECK(vm != NULL);
	vm->h = h_open(&h_targets[1], "cases", NULL);
	return (vm);
}

void
vm_side_close(struct vm *vm)
{
	h_close(vm->h);
	free(vm);
}

void
vm_side_run(struct vm *vm, const struct arm_batch *b, struct arm_state out[ARM_CASES], uint64_t mem[ARM_CASES][ARM_WINDOW_LEN / 8])
{
	const uint64_t states = sizeof(b->in), mems = sizeof(b->mem_in);
	uint32_t slots[2 * ARM_WORDS];
	struct vmctx *ctx = vm->h->ctx;

	for (unsigned i = 0; i < ARM_WORDS; i++) {
		slots[2 * i] = b->word[i];
		slots[2 * i + 1] = SVC;
	}
	OK(vm_gpa_write(ctx, SLOTS, slots, sizeof(slots)));
	OK(vm_gpa_write(ctx, STATES, b->in, states));
	OK(vm_gpa_write(ctx, STATES + 2 * states, b->mem_in, mems));
	h_param(vm->h, 0, STATES);
	h_param(vm->h, 1, STATES + states);
	h_param(vm->h, 2, STATES + 2 * states);
	h_param(vm->h, 3, STATES + 2 * states + mems);
	h_param(vm->h, 4, ARM_CASES);
	h_entry(&vm->h->cpu[0]);
	CHECK(h_run(&vm->h->cpu[0]));
	OK(vm_gpa_read(ctx, STATES + states, out, states));
	OK(vm_gpa_read(ctx, STATES + 2 * states + mems, mem, mems));
}
