/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * i8259.c - the pair of 8259A interrupt controllers of a PC (Intel 8259A datasheet, order number
 * 231468).
 *
 * Two departures, as in every PC chip set: LTIM of ICW1 is ignored, as each input has its own bit
 * in the edge/level control registers; and an edge, once seen, stays latched when the input falls
 * before the acknowledge, so that a pulse is an interrupt.
 */
#include <string.h>

#include "amd64.h"
#include "i8259.h"

#define	CASCADE		2		/* master's input that the slave drives */

#define	ICW1		0x10		/* at A0=0: this is ICW1 */
#define	ICW1_IC4	0x01
#define	ICW1_SNGL	0x02
#define	ICW4_AEOI	0x02
#define	ICW4_SFNM	0x10
#define	OCW3		0x08		/* at A0=0, without ICW1: OCW3, else OCW2 */
#define	OCW3_RIS	0x01
#define	OCW3_RR		0x02
#define	OCW3_POLL	0x04
#define	OCW3_SMM	0x20
#define	OCW3_ESMM	0x40
/* OCW2: R, SL and EOI */
#define	OCW2_EOI	0x20
#define	OCW2_SL		0x40
#define	OCW2_R		0x80

/* Inputs that cannot be level-triggered: timer, keyboard, cascade; clock, coprocessor. */
static const uint8_t elcr_mask[2] = { 0xf8, 0xde };

/*
 * The input whose request the chip passes on, -1 if none.  Requests of a priority at or below one
 * in service wait; the special fully nested mode lets the slave interrupt itself, special mask mode
 * takes masked inputs out of the comparison.
 */
static int
request(const struct i8259 *c, bool master)
{
	uint8_t req = c->irr & ~c->imr;
	uint8_t isr = c->special_mask ? c->isr & ~c->imr : c->isr;

	if (!c->ready)
		return (-1);
	for (unsigned i = 1; i <= 8 && req != 0; i++) {
		unsigned pin = (c->lowest + i) & 7;
		uint8_t bit = (uint8_t)(1U << pin);

		if ((isr & bit) != 0)
			return ((req & bit) != 0 && c->nested && master && pin == CASCADE ? (int)pin : -1);
		if ((req & bit) != 0)
			return ((int)pin);
	}
	return (-1);
}

static void
input(struct i8259 *c, unsigned pin, bool level)
{
	uint8_t bit = (uint8_t)(1U << pin);

	if ((c->elcr & bit) != 0) {
		c->irr = level ? c->irr | bit : c->irr & ~bit;
	} else if (level && (c->line & bit) == 0) {
		c->irr |= bit;
	}
	c->line = level ? c->line | bit : c->line & ~bit;
}

/*
 * Bring the slave's INT output to the master.  An edge that it takes back before the acknowledge is
 * gone.
 */
static void
cascade(struct i8259_pair *pair)
{
	bool level = request(&pair->chip[1], false) >= 0;

	input(&pair->chip[0], CASCADE, level);
	if (!level)
		pair->chip[0].irr &= ~(1U << CASCADE);
}

void
i8259_reset(struct i8259_pair *pair)
{
	for (int i = 0; i < 2; i++) {
		uint8_t line = pair->chip[i].line;

		/* The levels at the inputs are their sources', not the chip's. */
		memset(&pair->chip[i], 0, sizeof(pair->chip[i]));
		pair->chip[i].line = line;
		pair->chip[i].lowest = 7;
	}
	cascade(pair);
}

void
i8259_set(struct i8259_pair *pair, unsigned irq, bool level)
{
	input(&pair->chip[irq >> 3 & 1], irq & 7, level);
	cascade(pair);
}

bool
i8259_intr(const struct i8259_pair *pair)
{
	return (request(&pair->chip[0], true) >= 0);
}

/* In service is over: rotate if asked to. */
static void
end(struct i8259 *c, unsigned pin, bool rotate, uint8_t *ended)
{
	if ((c->isr & (1U << pin)) != 0)
		*ended |= (uint8_t)(1U << pin);
	c->isr &= ~(1U << pin);
	if (rotate)
		c->lowest = (uint8_t)pin;
}

/*
 * One chip's INTA: the input that is now in service, or 7 with nothing in service if its request
 * went away.
 */
static unsigned
inta(struct i8259 *c, bool master, uint8_t *ended)
{
	int pin = request(c, master);
	uint8_t bit;

	if (pin < 0)
		return (7);
	bit = (uint8_t)(1U << pin);
	if ((c->elcr & bit) == 0)
		c->irr &= ~bit;
	c->isr |= bit;
	if (c->aeoi)
		end(c, (unsigned)pin, c->rotate_aeoi, ended);
	return ((unsigned)pin);
}

uint8_t
i8259_ack(struct i8259_pair *pair, uint16_t *ended)
{
	struct i8259 *m = &pair->chip[0], *s = &pair->chip[1];
	uint8_t m_ended = 0, s_ended = 0, vector;
	bool present = request(m, true) >= 0;
	unsigned pin = inta(m, true, &m_ended);

	if (present && pin == CASCADE && (m->icw1 & ICW1_SNGL) == 0) {
		vector = s->base | (uint8_t)inta(s, false, &s_ended);
		/* INT goes low during INTA, so that what is still requested makes a new edge. */
		input(m, CASCADE, false);
	} else {
		vector = m->base | (uint8_t)pin;
	}
	cascade(pair);
	*ended |= (uint16_t)(m_ended | s_ended << 8);
	return (vector);
}

/*
 * The input in service with the highest priority, -1 if none; masked ones do not count in special
 * mask mode.
 */
static int
in_service(const struct i8259 *c)
{
	uint8_t isr = c->special_mask ? c->isr & ~c->imr : c->isr;

	for (unsigned i = 1; i <= 8; i++) {
		unsigned pin = (c->lowest + i) & 7;

		if ((isr & (1U << pin)) != 0)
			return ((int)pin);
	}
	return (-1);
}

static void
write_ocw2(struct i8259 *c, uint8_t val, uint8_t *ended)
{
	unsigned level = val & 7;
	bool rotate = (val & OCW2_R) != 0;
	int pin;

	switch (val & (OCW2_SL | OCW2_EOI)) {
	case OCW2_EOI:				/* non-specific EOI */
		pin = in_service(c);
		if (pin >= 0)
			end(c, (unsigned)pin, rotate, ended);
		break;
	case OCW2_SL | OCW2_EOI:		/* specific EOI */
		end(c, level, rotate, ended);
		break;
	case OCW2_SL:				/* set priority; without R no operation */
		if (rotate)
			c->lowest = (uint8_t)level;
		break;
	case 0:					/* rotate in automatic EOI mode: set, clear */
		c->rotate_aeoi = rotate;
		break;
	}
}

static void
write_icw1(struct i8259 *c, uint8_t val)
{
	uint8_t line = c->line, elcr = c->elcr;

	/*
	 * The datasheet's list: edges, masks and modes are cleared, input 7 has the lowest
	 * priority, IRR is read.
	 */
	memset(c, 0, sizeof(*c));
	c->line = line;
	c->elcr = elcr;
	c->irr = line & elcr;
	c->lowest = 7;
	c->icw1 = val;
	c->step = 2;
}

/* A0=1 while initialising: ICW2 to ICW4. */
static void
write_icw(struct i8259 *c, uint8_t val)
{
	switch (c->step) {
	case 2:
		c->base = val & 0xf8;
		if ((c->icw1 & ICW1_SNGL) == 0)
			c->step = 3;
		else
			c->step = (c->icw1 & ICW1_IC4) != 0 ? 4 : 0;
		break;
	case 3:
		c->cascade = val;
		c->step = (c->icw1 & ICW1_IC4) != 0 ? 4 : 0;
		break;
	default:
		c->aeoi = (val & ICW4_AEOI) != 0;
		c->nested = (val & ICW4_SFNM) != 0;
		c->step = 0;
		break;
	}
	if (c->step == 0)
		c->ready = true;
}

static void
write_ocw3(struct i8259 *c, uint8_t val)
{
	c->poll = (val & OCW3_POLL) != 0;
	if ((val & OCW3_RR) != 0)
		c->read_isr = (val & OCW3_RIS) != 0;
	if ((val & OCW3_ESMM) != 0)
		c->special_mask = (val & OCW3_SMM) != 0;
}

void
i8259_write(struct i8259_pair *pair, unsigned chip, unsigned off, uint8_t val, uint16_t *ended)
{
	struct i8259 *c = &pair->chip[chip & 1];
	uint8_t e = 0;

	if ((off & 1) != 0) {
		if (c->step != 0)
			write_icw(c, val);
		else
			c->imr = val;
	} else if ((val & ICW1) != 0) {
		write_icw1(c, val);
	} else if ((val & OCW3) != 0) {
		write_ocw3(c, val);
	} else {
		write_ocw2(c, val, &e);
	}
	cascade(pair);
	*ended |= (uint16_t)(e << (8 * (chip & 1)));
}

uint8_t
i8259_read(struct i8259_pair *pair, unsigned chip, unsigned off, uint16_t *ended)
{
	struct i8259 *c = &pair->chip[chip & 1];
	uint8_t e = 0, val;
	int pin;

	/*
	 * A poll takes the place of INTA: bit 7 says whether there was a request, bits 2:0 which.
	 */
	if (c->poll) {
		c->poll = false;
		pin = request(c, (chip & 1) == 0);
		val = pin < 0 ? 0 : (uint8_t)(0x80 | inta(c, (chip & 1) == 0, &e));
		cascade(pair);
		*ended |= (uint16_t)(e << (8 * (chip & 1)));
		return (val);
	}
	if ((off & 1) != 0)
		return (c->imr);
	return (c->read_isr ? c->isr : c->irr);
}

void
i8259_set_elcr(struct i8259_pair *pair, unsigned chip, uint8_t val)
{
	struct i8259 *c = &pair->chip[chip & 1];
	uint8_t changed;

	val &= elcr_mask[chip & 1];
	changed = c->elcr ^ val;
	c->elcr = val;
	/*
	 * A level is a request for as long as it is there; as an edge it would have to come again.
	 */
	c->irr = (c->irr & ~changed) | (c->line & val & changed);
	cascade(pair);
}

static int
i8259_check(void *obj)
{
	const struct i8259 *c = obj;

	if (c->lowest > 7 || c->step == 1 || c->step > 4 || (c->base & 7) != 0)
		return (vm_state_complain("8259: a register is out of range"));
	if (c->ready && c->step != 0)
		return (vm_state_complain("8259: both initialised and initialising"));
	return (0);
}

#define	U8(m)	VM_STATE_U8(struct i8259, m)
#define	BIT(m)	VM_STATE_BOOL(struct i8259, m)

static const struct vm_state_field i8259_fields[] = {
	U8(irr), U8(isr), U8(imr), U8(line), U8(elcr), U8(base), U8(cascade), U8(step), U8(icw1), U8(lowest),
	BIT(ready), BIT(aeoi), BIT(rotate_aeoi), BIT(nested), BIT(special_mask), BIT(read_isr), BIT(poll),
};

static const struct vm_state_table i8259_table = VM_STATE_TABLE("i8259", 1, 1, i8259_fields, i8259_check);

static const struct vm_state_field pair_fields[] = {
	VM_STATE_STRUCTS(struct i8259_pair, chip, &i8259_table),
};

static int
pair_check(void *obj)
{
	struct i8259_pair *pair = obj;

	for (int i = 0; i < 2; i++) {
		if ((pair->chip[i].elcr & ~elcr_mask[i]) != 0)
			return (vm_state_complain("8259: an input that has no level mode is in it"));
	}
	return (0);
}

const struct vm_state_table i8259_pair_table =
    VM_STATE_TABLE("i8259.pair", 1, 1, pair_fields, pair_check);
