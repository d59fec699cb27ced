/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * i8259.h - the pair of 8259A interrupt controllers of a PC (Intel 8259A datasheet), with the
 * edge/level control registers of the PC chip sets.  Pure logic: whoever holds a pair serialises
 * its calls.
 */
#ifndef _VMMAPI_I8259_H_
#define	_VMMAPI_I8259_H_

#include <vmmapi/state.h>

struct i8259 {
	uint8_t		irr, isr, imr;
	uint8_t		line;		/* levels at the inputs */
	uint8_t		elcr;		/* inputs that are level-triggered */
	uint8_t		base;		/* ICW2: vector of input 0 */
	uint8_t		cascade;	/* ICW3 */
	uint8_t		step;		/* ICW that is expected next at A0=1 (2 to 4), 0: none */
	uint8_t		icw1;
	uint8_t		lowest;		/* input with the lowest priority */
	bool		ready;		/* the ICWs were all written */
	bool		aeoi, rotate_aeoi;
	bool		nested;		/* special fully nested mode */
	bool		special_mask;
	bool		read_isr;	/* OCW3: A0=0 reads ISR, else IRR */
	bool		poll;		/* OCW3: the next read is a poll */
};

struct i8259_pair {
	struct i8259	chip[2];	/* master, slave */
};

extern const struct vm_state_table i8259_pair_table;

void	i8259_reset(struct i8259_pair *pair);
/* The level at input irq (0 to 15) changed. */
void	i8259_set(struct i8259_pair *pair, unsigned irq, bool level);
/* Level of the master's INT output. */
bool	i8259_intr(const struct i8259_pair *pair);
/* Two INTA cycles: the vector.  ORs interrupts that ended in it (AEOI) into *ended. */
uint8_t	i8259_ack(struct i8259_pair *pair, uint16_t *ended);
/* A0 is bit 0 of off; ORs interrupts that were ended into *ended. */
uint8_t	i8259_read(struct i8259_pair *pair, unsigned chip, unsigned off, uint16_t *ended);
void	i8259_write(struct i8259_pair *pair, unsigned chip, unsigned off, uint8_t val, uint16_t *ended);
void	i8259_set_elcr(struct i8259_pair *pair, unsigned chip, uint8_t val);

#endif /* _VMMAPI_I8259_H_ */
