/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ps2.c - a keyboard and a mouse by what they answer: IBM PS/2 Hardware Interface Technical Reference, "Keyboards (101- and 102-key)"
 * and "Mouse".
 */
#include <string.h>

#include <vmmapi/state.h>

#include "ps2.h"

#define	ACK		0xfa
#define	RESEND		0xfe		/* asks for it, and says that it did not understand */
#define	TEST_PASSED	0xaa

#define	NOARG		(-1)

struct ps2_command {
	uint8_t		 first, last;	/* bytes */
	int		 max;		/* of its argument; NOARG: it has none */
	bool		 silent;	/* it is not acknowledged */
	void		(*run)(struct ps2 *p, uint8_t cmd, uint8_t arg);
};

struct ps2_model {
	void		(*defaults)(struct ps2 *p);
	/* Whether a byte is no command at present: it did what it does, then. */
	bool		(*taken)(struct ps2 *p, uint8_t v);
	bool		(*valid)(const struct ps2 *p);
	unsigned	 ncommands;
	struct ps2_command command[16];
};

static void
say(struct ps2 *p, uint8_t v)
{
	if (p->len < PS2_QUEUE)
		p->queue[p->len++] = v;
}

static void
nothing(struct ps2 *p, uint8_t cmd, uint8_t arg)
{
}

static void
again(struct ps2 *p, uint8_t cmd, uint8_t arg)
{
	say(p, p->last);
}

/* Keyboard */

static void
keyboard_defaults(struct ps2 *p)
{
	p->set = 2;
}

static void
keyboard_default(struct ps2 *p, uint8_t cmd, uint8_t arg)
{
	keyboard_defaults(p);
}

static void
keyboard_test(struct ps2 *p, uint8_t cmd, uint8_t arg)
{
	keyboard_defaults(p);
	say(p, TEST_PASSED);
}

static void
keyboard_identify(struct ps2 *p, uint8_t cmd, uint8_t arg)
{
	say(p, 0xab);
	say(p, 0x83);
}

static void
echo(struct ps2 *p, uint8_t cmd, uint8_t arg)
{
	say(p, cmd);
}

/* 0 asks which one it is. */
static void
scan_codes(struct ps2 *p, uint8_t cmd, uint8_t arg)
{
	if (arg == 0)
		say(p, p->set);
	else
		p->set = arg;
}

static bool
keyboard_valid(const struct ps2 *p)
{
	return (p->set >= 1 && p->set <= 3);
}

const struct ps2_model ps2_keyboard = {
	.defaults = keyboard_defaults,
	.valid = keyboard_valid,
	.ncommands = 11,
	.command = {
		{ 0xed, 0xed, 0x07, false, nothing },		/* LEDs */
		{ 0xee, 0xee, NOARG, true, echo },
		{ 0xf0, 0xf0, 3, false, scan_codes },
		{ 0xf2, 0xf2, NOARG, false, keyboard_identify },
		{ 0xf3, 0xf3, 0x7f, false, nothing },		/* rate and delay of repetition */
		{ 0xf4, 0xf4, NOARG, false, nothing },		/* enable */
		{ 0xf5, 0xf6, NOARG, false, keyboard_default },	/* and disable; and not */
		{ 0xf7, 0xfa, NOARG, false, nothing },		/* what keys do in set 3: all of them */
		{ 0xfb, 0xfd, 0xec, false, nothing },		/* one of them */
		{ 0xfe, 0xfe, NOARG, true, again },
		{ 0xff, 0xff, NOARG, false, keyboard_test },
	},
};

/* Mouse */

#define	WRAP_END	0xec
#define	WRAP_RESET	0xff

static void
mouse_defaults(struct ps2 *p)
{
	p->mode = 0;
	p->resolution = 2;		/* 4 counts in a millimetre */
	p->rate = 100;
}

static void
mouse_default(struct ps2 *p, uint8_t cmd, uint8_t arg)
{
	mouse_defaults(p);
}

static void
mouse_test(struct ps2 *p, uint8_t cmd, uint8_t arg)
{
	mouse_defaults(p);
	say(p, TEST_PASSED);
	say(p, 0);
}

static void
mouse_identify(struct ps2 *p, uint8_t cmd, uint8_t arg)
{
	say(p, 0);
}

static void
mouse_scaling(struct ps2 *p, uint8_t cmd, uint8_t arg)
{
	p->mode = (uint8_t)(cmd == 0xe7 ? p->mode | PS2_MODE_SCALED : p->mode & ~PS2_MODE_SCALED);
}

static void
mouse_resolution(struct ps2 *p, uint8_t cmd, uint8_t arg)
{
	p->resolution = arg;
}

static void
mouse_status(struct ps2 *p, uint8_t cmd, uint8_t arg)
{
	say(p, p->mode & (uint8_t)~PS2_MODE_WRAP);
	say(p, p->resolution);
	say(p, p->rate);
}

static void
mouse_mode(struct ps2 *p, uint8_t cmd, uint8_t arg)
{
	if (cmd == 0xee)
		p->mode |= PS2_MODE_WRAP;
	else
		p->mode = (uint8_t)(cmd == 0xf0 ? p->mode | PS2_MODE_REMOTE : p->mode & ~PS2_MODE_REMOTE);
}

/* A report: no button is pressed, it was not moved.  Bit 3 is always set. */
static void
mouse_data(struct ps2 *p, uint8_t cmd, uint8_t arg)
{
	say(p, 0x08);
	say(p, 0);
	say(p, 0);
}

static void
mouse_rate(struct ps2 *p, uint8_t cmd, uint8_t arg)
{
	p->rate = arg;
}

static void
mouse_enable(struct ps2 *p, uint8_t cmd, uint8_t arg)
{
	p->mode = (uint8_t)(cmd == 0xf4 ? p->mode | PS2_MODE_ENABLED : p->mode & ~PS2_MODE_ENABLED);
}

/* In wrap mode it is a mirror, but for the two commands that end that. */
static bool
mouse_taken(struct ps2 *p, uint8_t v)
{
	if ((p->mode & PS2_MODE_WRAP) == 0)
		return (false);
	if (v == WRAP_END || v == WRAP_RESET) {
		p->mode &= (uint8_t)~PS2_MODE_WRAP;
		return (false);
	}
	say(p, v);
	return (true);
}

static bool
mouse_valid(const struct ps2 *p)
{
	return ((p->mode & ~(PS2_MODE_SCALED | PS2_MODE_ENABLED | PS2_MODE_REMOTE | PS2_MODE_WRAP)) == 0 && p->resolution <= 3);
}

const struct ps2_model ps2_mouse = {
	.defaults = mouse_defaults,
	.taken = mouse_taken,
	.valid = mouse_valid,
	.ncommands = 14,
	.command = {
		{ 0xe6, 0xe7, NOARG, false, mouse_scaling },
		{ 0xe8, 0xe8, 3, false, mouse_resolution },
		{ 0xe9, 0xe9, NOARG, false, mouse_status },
		{ 0xea, 0xea, NOARG, false, mouse_mode },	/* stream */
		{ 0xeb, 0xeb, NOARG, false, mouse_data },
		{ WRAP_END, WRAP_END, NOARG, false, nothing },
		{ 0xee, 0xee, NOARG, false, mouse_mode },	/* wrap */
		{ 0xf0, 0xf0, NOARG, false, mouse_mode },	/* remote */
		{ 0xf2, 0xf2, NOARG, false, mouse_identify },
		{ 0xf3, 0xf3, 0xff, false, mouse_rate },
		{ 0xf4, 0xf5, NOARG, false, mouse_enable },
		{ 0xf6, 0xf6, NOARG, false, mouse_default },
		{ 0xfe, 0xfe, NOARG, true, again },
		{ WRAP_RESET, WRAP_RESET, NOARG, false, mouse_test },
	},
};

/* What both share */

static const struct ps2_command *
find(const struct ps2_model *model, uint8_t v)
{
	for (unsigned i = 0; i < model->ncommands; i++) {
		if (v >= model->command[i].first && v <= model->command[i].last)
			return (&model->command[i]);
	}
	return (NULL);
}

void
ps2_reset(const struct ps2_model *model, struct ps2 *p)
{
	memset(p, 0, sizeof(*p));
	model->defaults(p);
}

void
ps2_write(const struct ps2_model *model, struct ps2 *p, uint8_t v)
{
	const struct ps2_command *c = p->command != 0 ? find(model, p->command) : NULL;
	uint8_t cmd = p->command;

	p->len = 0;
	p->command = 0;
	/* What no argument can be is a command, and the one that waited is forgotten. */
	if (c != NULL && v <= c->max) {
		say(p, ACK);
		c->run(p, cmd, v);
		return;
	}
	if (model->taken != NULL && model->taken(p, v))
		return;
	c = find(model, v);
	if (c == NULL) {
		say(p, RESEND);
		return;
	}
	if (!c->silent)
		say(p, ACK);
	if (c->max == NOARG)
		c->run(p, v, 0);
	else
		p->command = v;
}

uint8_t
ps2_take(struct ps2 *p)
{
	p->last = p->queue[0];
	p->len--;
	memmove(p->queue, p->queue + 1, p->len);
	return (p->last);
}

bool
ps2_valid(const struct ps2_model *model, const struct ps2 *p)
{
	const struct ps2_command *c = find(model, p->command);

	return (p->len <= PS2_QUEUE && (p->command == 0 || (c != NULL && c->max != NOARG)) && model->valid(p));
}

static const struct vm_state_field fields[] = {
	VM_STATE_BYTES(struct ps2, queue), VM_STATE_U8(struct ps2, len), VM_STATE_U8(struct ps2, last), VM_STATE_U8(struct ps2, command),
	VM_STATE_U8(struct ps2, set), VM_STATE_U8(struct ps2, mode), VM_STATE_U8(struct ps2, resolution), VM_STATE_U8(struct ps2, rate),
};

const struct vm_state_table ps2_state = VM_STATE_TABLE("ps2", 1, 1, fields, NULL);
