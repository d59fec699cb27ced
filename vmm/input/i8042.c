/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * i8042.c - the keyboard controller of a PC, with a keyboard and a mouse (ps2.c): IBM PS/2 Hardware Interface Technical Reference,
 * "Keyboard and Auxiliary Device Controller".
 *
 * Nothing takes time: a command is done when its write returns, and when the output buffer was read, what waits is in it at once.  Line 0
 * is the keyboard's (IRQ 1), line 1 the mouse's (IRQ 12); each is high while a byte of its device is there to be read, and low in between, for
 * the controller they are connected to looks at edges.
 *
 * k->lock guards everything.  port92_gate() is called with it held.
 */
#include <pthread.h>
#include <string.h>

#include "../device.h"
#include "../error.h"
#include "../line.h"
#include "i8042.h"
#include "port92.h"
#include "ps2.h"

#define	COMMAND_PORT	4		/* behind the data port; between them are others' */

/* Status */
#define	OBF		0x01U		/* the output buffer is full */
#define	SYSTEM		0x04U		/* the command byte's */
#define	IS_COMMAND	0x08U		/* what was written last */
#define	UNLOCKED	0x10U		/* no key in the lock on the case */
#define	AUX_OBF		0x20U		/* and it is the mouse's */

/* Command byte: byte 0 of the controller's RAM */
#define	KBD_INT		0x01U
#define	AUX_INT		0x02U
#define	KBD_OFF		0x10U
#define	AUX_OFF		0x20U
#define	TRANSLATE	0x40U
#define	CTR_RESERVED	0x80U

/* Output port */
#define	NO_RESET	0x01U
#define	A20		0x02U
#define	KBD_IRQ		0x10U
#define	AUX_IRQ		0x20U
#define	LINES_FREE	0xc0U		/* of the keyboard */

#define	INPUT_PORT	0x80U		/* the keyboard is not locked */
#define	SELF_TEST_OK	0x55U
#define	RAM		32

/* Commands whose byte is written to the data port. */
#define	WRITE_RAM	0x60		/* to 0x7f */
#define	WRITE_OUT	0xd1
#define	AS_KEYBOARD	0xd2
#define	AS_MOUSE	0xd3
#define	TO_MOUSE	0xd4

struct i8042 {
	struct device	*dev, *port92;
	struct vm_range	*data_range, *command_range;
	pthread_mutex_t	 lock;
	bool		 active;	/* between resume and pause */

	/* state */
	uint8_t		 ram[RAM];
	uint8_t		 data;		/* output buffer */
	bool		 full, aux;	/* it; from the mouse */
	uint8_t		 reply;		/* goes there next */
	bool		 replies, reply_aux;
	uint8_t		 command;	/* whose byte is to come; 0: none */
	bool		 was_command;
	bool		 a20;
	struct ps2	 keyboard, mouse;
};

/* The output buffer */

static void
update(struct i8042 *k)
{
	const bool level[2] = {
		k->full && !k->aux && (k->ram[0] & KBD_INT) != 0, k->full && k->aux && (k->ram[0] & AUX_INT) != 0,
	};

	for (unsigned i = 0; i < 2 && k->active; i++)
		device_line(k->dev, k->dev->place.irq[i], level[i]);
}

/*
 * The keyboard's codes of set 2 become those of set 1, for software of the PC/XT.  It says no codes of keys; of what it does say, these
 * are changed by that: the number of its set, and the second byte of its identity.
 */
static uint8_t
translate(uint8_t v)
{
	static const uint8_t low[] = { 0xff, 0x43, 0x41, 0x3f };

	return (v < sizeof(low) ? low[v] : v == 0x83 ? 0x41 : v);
}

static void
put(struct i8042 *k, uint8_t v, bool aux)
{
	k->data = v;
	k->full = true;
	k->aux = aux;
}

/* What waits goes into the buffer: the controller's own word first. */
static void
advance(struct i8042 *k)
{
	if (k->full)
		return;
	if (k->replies) {
		put(k, k->reply, k->reply_aux);
		k->replies = false;
	} else if ((k->ram[0] & KBD_OFF) == 0 && k->keyboard.len != 0) {
		uint8_t v = ps2_take(&k->keyboard);

		put(k, (k->ram[0] & TRANSLATE) != 0 ? translate(v) : v, false);
	} else if ((k->ram[0] & AUX_OFF) == 0 && k->mouse.len != 0) {
		put(k, ps2_take(&k->mouse), true);
	}
}

static void
answer(struct i8042 *k, uint8_t v)
{
	k->reply = v;
	k->replies = true;
	k->reply_aux = false;
}

/* The gate of address line 20. */
static void
set_a20(struct i8042 *k, bool on)
{
	k->a20 = on;
	if (k->port92 != NULL)
		port92_gate(k->port92, on);
}

/* Commands.  true: reset the VM, without the lock. */

static bool
read_ram(struct i8042 *k, uint8_t cmd)
{
	answer(k, k->ram[cmd % RAM]);
	return (false);
}

static bool
switch_device(struct i8042 *k, uint8_t cmd)
{
	switch (cmd) {
	case 0xa7: k->ram[0] |= AUX_OFF; break;
	case 0xa8: k->ram[0] &= (uint8_t)~AUX_OFF; break;
	case 0xad: k->ram[0] |= KBD_OFF; break;
	default: k->ram[0] &= (uint8_t)~KBD_OFF; break;
	}
	return (false);
}

static bool
self_test(struct i8042 *k, uint8_t cmd)
{
	answer(k, SELF_TEST_OK);
	return (false);
}

/* Nothing is wrong with a connector. */
static bool
test_connector(struct i8042 *k, uint8_t cmd)
{
	answer(k, 0);
	return (false);
}

static bool
read_input(struct i8042 *k, uint8_t cmd)
{
	answer(k, INPUT_PORT);
	return (false);
}

static bool
read_output(struct i8042 *k, uint8_t cmd)
{
	answer(k, (uint8_t)(NO_RESET | LINES_FREE | (k->a20 ? A20 : 0) | (k->full && !k->aux ? KBD_IRQ : 0) |
	    (k->full && k->aux ? AUX_IRQ : 0)));
	return (false);
}

static bool
await(struct i8042 *k, uint8_t cmd)
{
	k->command = cmd;
	return (false);
}

/* Bits of the output port that are 0 in the command are low for a moment: bit 0 is the processors' reset. */
static bool
pulse(struct i8042 *k, uint8_t cmd)
{
	return ((cmd & NO_RESET) == 0);
}

static const struct {
	uint8_t		first, last;
	bool		(*run)(struct i8042 *k, uint8_t cmd);
} commands[] = {
	{ 0x20, 0x3f, read_ram },
	{ WRITE_RAM, 0x7f, await },
	{ 0xa7, 0xa8, switch_device },
	{ 0xa9, 0xa9, test_connector },
	{ 0xaa, 0xaa, self_test },
	{ 0xab, 0xab, test_connector },
	{ 0xad, 0xae, switch_device },
	{ 0xc0, 0xc0, read_input },
	{ 0xd0, 0xd0, read_output },
	{ WRITE_OUT, TO_MOUSE, await },
	{ 0xf0, 0xff, pulse },
};

static bool
write_command(struct i8042 *k, uint8_t v)
{
	k->was_command = true;
	k->command = 0;
	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (v >= commands[i].first && v <= commands[i].last)
			return (commands[i].run(k, v));
	}
	device_guest_log(k->dev, "command %#x, which the controller does not have, is ignored", v);
	return (false);
}

/* A byte of a command, or to the keyboard.  true as above. */
static bool
write_data(struct i8042 *k, uint8_t v)
{
	uint8_t cmd = k->command;

	k->was_command = false;
	k->command = 0;
	switch (cmd) {
	case 0:
		/* The controller lets the keyboard speak again: it has to answer. */
		k->ram[0] &= (uint8_t)~KBD_OFF;
		ps2_write(&ps2_keyboard, &k->keyboard, v);
		return (false);
	case WRITE_OUT:
		set_a20(k, (v & A20) != 0);
		return ((v & NO_RESET) == 0);
	case AS_KEYBOARD:
	case AS_MOUSE:
		answer(k, v);
		k->reply_aux = cmd == AS_MOUSE;
		return (false);
	case TO_MOUSE:
		k->ram[0] &= (uint8_t)~AUX_OFF;
		ps2_write(&ps2_mouse, &k->mouse, v);
		return (false);
	default:
		k->ram[cmd % RAM] = cmd == WRITE_RAM ? v & (uint8_t)~CTR_RESERVED : v;
		return (false);
	}
}

/* Ports */

static uint64_t
data_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct i8042 *k = arg;
	uint64_t v;

	pthread_mutex_lock(&k->lock);
	v = k->data;
	k->full = false;
	/* Low for a moment also if more is there. */
	update(k);
	advance(k);
	update(k);
	pthread_mutex_unlock(&k->lock);
	return (v);
}

static uint64_t
status_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct i8042 *k = arg;
	uint64_t v;

	pthread_mutex_lock(&k->lock);
	v = UNLOCKED | (k->ram[0] & SYSTEM) | (k->was_command ? IS_COMMAND : 0) | (k->full ? OBF : 0) |
	    (k->full && k->aux ? AUX_OBF : 0);
	pthread_mutex_unlock(&k->lock);
	return (v);
}

static void
port_write(struct i8042 *k, bool (*write)(struct i8042 *k, uint8_t v), uint64_t val)
{
	bool reset;

	pthread_mutex_lock(&k->lock);
	reset = write(k, (uint8_t)val);
	advance(k);
	update(k);
	pthread_mutex_unlock(&k->lock);
	if (reset)
		(void)vm_suspend(k->dev->vmm->vm, VM_SUSPEND_RESET);
}

static void
data_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	port_write(arg, write_data, val);
}

static void
command_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	port_write(arg, write_command, val);
}

/* Life */

void
i8042_set_port92(struct device *dev, struct device *port92)
{
	struct i8042 *k = dev->soft;

	k->port92 = port92;
	set_a20(k, k->a20);
}

static void
i8042_fini(struct device *dev)
{
	struct i8042 *k = dev->soft;

	vm_range_remove(k->command_range);
	vm_range_remove(k->data_range);
	(void)vm_range_sync(dev->vmm->vm);
	pthread_mutex_destroy(&k->lock);
}

static int
i8042_init(struct device *dev)
{
	struct i8042 *k = dev->soft;
	const struct vm_range_spec command = {
		.name = dev->name, .space = VM_SPACE_IO, .base = dev->place.base + COMMAND_PORT, .len = 1, .read = status_read,
		.write = command_write, .arg = k,
	};

	k->dev = dev;
	pthread_mutex_init(&k->lock, NULL);
	k->data_range = device_claim(dev, 1, data_read, data_write, k);
	if (k->data_range != NULL) {
		k->command_range = vm_range_add(dev->vmm->vm, &command);
		if (k->command_range == NULL)
			(void)vmm_fail_vm("%s", dev->name);
	}
	if (k->data_range == NULL || k->command_range == NULL) {
		i8042_fini(dev);
		return (-1);
	}
	return (0);
}

/* As power-on software finds it and a kernel without such software can use it: the keyboard on, the mouse not. */
static void
i8042_reset(struct device *dev)
{
	struct i8042 *k = dev->soft;

	memset(k->ram, 0, sizeof(k->ram));
	k->ram[0] = KBD_INT | TRANSLATE | AUX_OFF;
	k->data = k->reply = k->command = 0;
	k->full = k->aux = k->replies = k->reply_aux = k->was_command = false;
	set_a20(k, true);
	ps2_reset(&ps2_keyboard, &k->keyboard);
	ps2_reset(&ps2_mouse, &k->mouse);
	for (unsigned i = 0; i < 2; i++)
		(void)vm_irq_deassert(dev->place.irq[i]);
}

static void
i8042_pause(struct device *dev)
{
	struct i8042 *k = dev->soft;

	pthread_mutex_lock(&k->lock);
	k->active = false;
	pthread_mutex_unlock(&k->lock);
}

static void
i8042_resume(struct device *dev)
{
	struct i8042 *k = dev->soft;

	pthread_mutex_lock(&k->lock);
	k->active = true;
	set_a20(k, k->a20);
	advance(k);
	update(k);
	pthread_mutex_unlock(&k->lock);
}

static int
i8042_check(void *obj)
{
	const struct i8042 *k = obj;
	bool waits = k->command == 0 || (k->command >= WRITE_RAM && k->command < WRITE_RAM + RAM) ||
	    (k->command >= WRITE_OUT && k->command <= TO_MOUSE);

	if ((k->ram[0] & CTR_RESERVED) != 0)
		return (vm_state_complain("i8042: reserved bits of the command byte are set"));
	if (!waits)
		return (vm_state_complain("i8042: command %#x takes no byte", k->command));
	if (!ps2_valid(&ps2_keyboard, &k->keyboard) || !ps2_valid(&ps2_mouse, &k->mouse))
		return (vm_state_complain("i8042: the keyboard or the mouse is in a state that it does not have"));
	return (0);
}

static const struct vm_state_field fields[] = {
	VM_STATE_BYTES(struct i8042, ram), VM_STATE_U8(struct i8042, data), VM_STATE_BOOL(struct i8042, full),
	VM_STATE_BOOL(struct i8042, aux), VM_STATE_U8(struct i8042, reply), VM_STATE_BOOL(struct i8042, replies),
	VM_STATE_BOOL(struct i8042, reply_aux), VM_STATE_U8(struct i8042, command), VM_STATE_BOOL(struct i8042, was_command),
	VM_STATE_BOOL(struct i8042, a20), VM_STATE_STRUCT(struct i8042, keyboard, &ps2_state),
	VM_STATE_STRUCT(struct i8042, mouse, &ps2_state),
};

static const struct vm_state_table state = VM_STATE_TABLE("i8042", 1, 1, fields, i8042_check);

DEVICE_CLASS_NOKEYS(i8042, "i8042", "keyboard controller with a keyboard and a mouse that nobody touches", &state,
    .on = DEVICE_ON_IO,
    .range_len = 1,
    .nirqs = 2,
    .size = sizeof(struct i8042),
    .init = i8042_init,
    .fini = i8042_fini,
    .reset = i8042_reset,
    .pause = i8042_pause,
    .resume = i8042_resume);
