/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gen.h - inside of the generator: gen.c and operands.c.
 */
#ifndef _TESTS_DIFF_GEN_H_
#define	_TESTS_DIFF_GEN_H_

#include "diff.h"
#include "forms.h"
#include "values.h"

struct gen {
	struct forms	*forms;
	unsigned	 mode;
	bool		 only;		/* some mnemonics only */
	const uint8_t	*window;

	/* the case that is being made */
	struct rng	 rng;
	struct diff_insn insn;
	enum flavour	 flavour;	/* of its vectors */
	bool		 mmx;		/* x87 registers are MMX registers */
};

/* gen.c */
uint64_t gen_address(struct gen *g, unsigned size);
/* Address of a memory operand, as the case is now. */
uint64_t
gen_ea(const struct diff_insn *insn, const struct diff_case *c, const ZydisDecodedOperand *op);
int	 gen_gpr(ZydisRegister reg, unsigned *bytes);
void	 gen_set_gpr(struct diff_case *c, int n, unsigned bytes, uint64_t v);
uint16_t gen_selector(struct gen *g);
void	 gen_fpu(struct gen *g, struct diff_fx *fx);
/* Content of memory before the case; false if addr is in no window or there are too many. */
bool	 gen_patch(struct diff_case *c, uint64_t addr, const void *data, unsigned len);

/* operands.c */
/* What this instruction in particular needs; false: make another case. */
bool	 gen_particular(struct gen *g, struct diff_case *c);

#endif /* _TESTS_DIFF_GEN_H_ */
