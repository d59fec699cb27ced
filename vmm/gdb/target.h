/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * target.h - what a debugger sees of an architecture: its registers in gdb's order, with their description (GDB manual, "Target Descriptions").
 *
 * A new architecture is a file that ends in a struct gdb_target, and a line in target.c.
 */
#ifndef _HYVE_GDB_TARGET_H_
#define	_HYVE_GDB_TARGET_H_

#include <vmmapi.h>

#include "rsp.h"

#define	GDB_REG_MAX	16U		/* bytes of the widest register */

struct gdb_reg {
	const char	*name, *type;	/* of the description; type NULL: an integer */
	uint16_t	 bits;
	/* Where it is: a register by number (vm_get_register()), or bytes of a field (vm_vcpu_field_get()), or what get and set do. */
	int		 reg;
	const char	*field;
	uint16_t	 off, size;	/* in the field; bytes beyond are zero */
	int		(*get)(struct vcpu *vcpu, const struct gdb_reg *r, uint8_t *val);
	int		(*set)(struct vcpu *vcpu, const struct gdb_reg *r, const uint8_t *val);
};

/* Registers that are described together. */
struct gdb_feature {
	const char	*name;		/* "org.gnu.gdb.i386.core" */
	const char	*types;		/* XML in front of the registers, may be NULL */
	const struct gdb_reg *regs;
	unsigned	 nregs;
};

struct gdb_target {
	enum vm_arch	 arch;
	const char	*name;		/* gdb's */
	const struct gdb_feature *features;
	unsigned	 nfeatures;
	int		 pc;		/* the program counter, for vm_get_register() */
	int		 run_state;	/* what a vCPU does, 0 if it executes instructions */
	const char *const *states;	/* in words, by that; NULL ends it */
};

extern const struct gdb_target gdb_target_amd64, gdb_target_arm64;

/* NULL: there is none. */
const struct gdb_target *gdb_target_find(enum vm_arch arch);
/* The n-th register, NULL behind the last. */
const struct gdb_reg *gdb_target_reg(const struct gdb_target *t, uint64_t n);
/* Its value, (bits + 7) / 8 bytes, least significant first.  -1 with vm_errmsg(). */
int	gdb_reg_get(struct vcpu *vcpu, const struct gdb_reg *r, uint8_t val[GDB_REG_MAX]);
int	gdb_reg_set(struct vcpu *vcpu, const struct gdb_reg *r, const uint8_t val[GDB_REG_MAX]);
/* The description as XML; the caller frees it.  NULL: no memory. */
char	*gdb_target_xml(const struct gdb_target *t);

#endif /* _HYVE_GDB_TARGET_H_ */
