/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * forms.h - the instructions that are compared, and the encodings that each has.
 */
#ifndef _TESTS_DIFF_FORMS_H_
#define	_TESTS_DIFF_FORMS_H_

#include <stdbool.h>
#include <stdint.h>

#include <Zydis/Zydis.h>

#define	FORM_ANY	0xffU
#define	FORM_MEMORY	0xfeU		/* rm: not a register */
#define	FORM_NONE	0xfdU		/* reg: no ModRM byte */

/* An encoding: mandatory prefix, map, opcode, what of the ModRM byte is fixed. */
struct form {
	uint16_t	mnemonic;
	uint8_t		prefix;		/* 0, 66, F2, F3 */
	uint8_t		map;		/* 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A */
	uint8_t		opcode;
	uint8_t		rex_w;
	uint8_t		reg, rm;
};

struct forms {
	ZydisDecoder	 decoder;
	unsigned	 mode;
	struct form	*form;		/* sorted by mnemonic */
	unsigned	 nform;
	struct {
		uint16_t	mnemonic;
		uint32_t	first, count;
	}		*mnemonic;
	unsigned	 nmnemonic;
};

/* Decoded with all operands. */
struct diff_insn {
	ZydisDecodedInstruction z;
	ZydisDecodedOperand	op[ZYDIS_MAX_OPERAND_COUNT];
};

struct forms *forms_new(unsigned mode);
void	forms_free(struct forms *f);
/* Keep the mnemonics whose names contain this: false if none does. */
bool	forms_only(struct forms *f, const char *name);
bool	forms_has(const struct forms *f, ZydisMnemonic mnemonic);
bool forms_decode(const ZydisDecoder *d, const uint8_t *code, unsigned len, struct diff_insn *insn);
/* The bytes, complete, are worth comparing: both processors have the instruction and it is user
 * mode's. */
bool	forms_allowed(const ZydisDecodedInstruction *z);

#endif /* _TESTS_DIFF_FORMS_H_ */
