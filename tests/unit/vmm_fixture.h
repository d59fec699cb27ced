/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm_fixture.h - an anonymous VM with RAM, an event loop and a log that remembers, for tests
 * of libhyve.  No vCPU runs.
 */
#ifndef _VMM_FIXTURE_H_
#define	_VMM_FIXTURE_H_

#include <pthread.h>

#include <vmmapi.h>
#include <vmmapi/state.h>

#include "config/config.h"
#include "device.h"
#include "error.h"
#include "event/event.h"
#include "log.h"
#include "vm_fixture.h"

#define	FX_MEM	(16UL << 20)

struct fx {
	struct vmm	 vmm;
	struct vm_irq	*irq;
	char		 log[4096];	/* lines, each with a newline */
};

static inline void
fx_log(void *arg, enum log_level level, const char *part, const char *text)
{
	struct fx *fx = arg;
	size_t len = strlen(fx->log);

	(void)level;
	(void)snprintf(fx->log + len, sizeof(fx->log) - len, "%s: %s\n", part, text);
}

static inline void
fx_open(struct fx *fx)
{
	struct vm_spec spec = {
		.size = sizeof(spec), .arch = VM_ARCH_AMD64, .accel = VM_ACCEL_SOFT,
#ifdef HYVE_CHECK_WRITES
		.flags = VM_SPEC_CHECK_WRITES,
#endif
	};

	memset(fx, 0, sizeof(*fx));
	fx->vmm.vm = tv_spec(&spec, FX_MEM, 0);
	fx->vmm.loop = event_loop_new();
	CHECK(fx->vmm.loop != NULL);
	fx->vmm.log = log_new(fx_log, fx);
	CHECK(fx->vmm.log != NULL);
	fx->vmm.config = config_new();
	CHECK(fx->vmm.config != NULL);
	fx->irq = vm_irq_open_line(fx->vmm.vm, 4);
	CHECKF(fx->irq != NULL, "%s", vm_errmsg());
}

static inline void
fx_close(struct fx *fx)
{
	devices_destroy(&fx->vmm);
	vm_irq_close(fx->irq);
	config_free(fx->vmm.config);
	event_loop_free(fx->vmm.loop);
	log_free(fx->vmm.log);
	vm_close(fx->vmm.vm);
}

/* The node for a device, with its keys declared. */
static inline struct config_node *
fx_node(struct fx *fx, const char *name, const struct device_class *cls)
{
	struct config_node *node;

	CHECK_EQ(config_declare(fx->vmm.config, name, &cls->keys), 0);
	node = config_node(fx->vmm.config, name);
	CHECK(node != NULL);
	return (node);
}

/* Keys in lines "name.key=value". */
static inline void
fx_keys(struct fx *fx, const char *keys)
{
	CHECKF(config_load_text(fx->vmm.config, "test", keys, strlen(keys)) == 0, "%s", vmm_errmsg());
}

/* A device of a class at a place, with keys of its own; NULL with a sentence. */
static inline struct device *
fx_make_with(struct fx *fx, const char *cls, const char *name, const struct device_place *place, const char *keys)
{
	const struct device_class *c = device_class_find(cls);
	struct config_node *node;

	CHECKF(c != NULL, "%s", vmm_errmsg());
	node = fx_node(fx, name, c);
	fx_keys(fx, keys);
	return (device_create(&fx->vmm, c, name, node, place));
}

/* One that is there, without keys. */
static inline struct device *
fx_make(struct fx *fx, const char *cls, const char *name, const struct device_place *place)
{
	struct device *dev = fx_make_with(fx, cls, name, place, "");

	CHECKF(dev != NULL, "%s", vmm_errmsg());
	return (dev);
}

/* Reset the devices, as a machine's reset does. */
static inline void
fx_reset(struct fx *fx)
{
	devices_pause(&fx->vmm);
	devices_reset(&fx->vmm);
	devices_resume(&fx->vmm);
}

/* Whether the fixture's interrupt is raised. */
static inline bool
fx_level(struct fx *fx)
{
	struct vm_irq_info info;

	CHECK_EQ(vm_irq_get_info(fx->irq, &info), 0);
	return (info.level);
}

static inline uint64_t
fx_read(struct fx *fx, enum vm_space space, uint64_t addr, unsigned size)
{
	return (tv_read(fx->vmm.vm, space, addr, size));
}

static inline void
fx_write(struct fx *fx, enum vm_space space, uint64_t addr, unsigned size, uint64_t val)
{
	tv_write(fx->vmm.vm, space, addr, size, val);
}

/* Let the loop do what is ready now. */
static inline void
fx_turn(struct fx *fx)
{
	for (int i = 0; i < 4; i++)
		CHECK_EQ(event_loop_once(fx->vmm.loop, 0), 0);
}

/* Save all devices and load them into others of the same names. */
static inline void
fx_move(struct fx *from, struct fx *to)
{
	struct vm_state_out *out = vm_state_out_open();
	struct vm_state_in *in;

	CHECK(out != NULL);
	CHECKF(devices_save(&from->vmm, out) == 0, "%s", vmm_errmsg());
	in = tv_reader(out);
	CHECKF(devices_load(&to->vmm, in) == 0, "%s", vmm_errmsg());
	CHECKF(vm_state_in_done(in) == 0, "%s", vm_errmsg());
	vm_state_in_close(in);
	vm_state_out_close(out);
}

/* The same, where it is refused with these words. */
static inline void
fx_refused(struct fx *from, struct fx *to, const char *why)
{
	struct vm_state_out *out = vm_state_out_open();
	struct vm_state_in *in;

	CHECK(out != NULL);
	CHECKF(devices_save(&from->vmm, out) == 0, "%s", vmm_errmsg());
	in = tv_reader(out);
	CHECK_EQ(devices_load(&to->vmm, in), -1);
	CHECK_HAS(vmm_errmsg(), why);
	vm_state_in_close(in);
	vm_state_out_close(out);
}

/* Every byte of the devices' stream changed in turn: refused, and never a crash.  They are paused. */
static inline void
fx_damage(struct fx *fx)
{
	struct vm_state_out *so = vm_state_out_open();
	struct vm_state_in *si;
	const uint8_t *data;
	uint8_t *copy;
	size_t len;

	CHECK_EQ(devices_save(&fx->vmm, so), 0);
	data = vm_state_out_data(so, &len);
	copy = malloc(len);
	for (size_t i = 0; i < len; i++) {
		memcpy(copy, data, len);
		copy[i] ^= 0xff;
		si = vm_state_in_open(copy, len);
		if (si == NULL)
			continue;
		CHECKF(devices_load(&fx->vmm, si) == -1, "byte %zu", i);
		vm_state_in_close(si);
	}
	free(copy);
	vm_state_out_close(so);
}

/* The field of a device's state at its place, for states that its check must refuse. */
static inline void *
fx_field(struct device *dev, const char *name)
{
	const struct vm_state_table *table = dev->cls->state;

	for (unsigned i = 0; i < table->nfields; i++) {
		if (strcmp(table->fields[i].name, name) == 0)
			return ((uint8_t *)dev->soft + table->fields[i].offset);
	}
	FAIL("no field %s", name);
}

/* A value of a field that its device cannot have, and what its check says. */
struct fx_bad {
	const char	*field;
	uint64_t	 val;
	unsigned	 size;
	const char	*words;
};

/* Each of them, up to one without a field, is refused, and the state without it is not.  The device is paused. */
static inline void
fx_refuses(struct device *dev, const struct fx_bad *bad)
{
	for (; bad->field != NULL; bad++) {
		void *at = fx_field(dev, bad->field);
		uint64_t old;

		memcpy(&old, at, bad->size);
		memcpy(at, &bad->val, bad->size);
		CHECK_EQ(dev->cls->state->check(dev->soft), -1);
		CHECK_HAS(vm_errmsg(), bad->words);
		memcpy(at, &old, bad->size);
		CHECK_EQ(dev->cls->state->check(dev->soft), 0);
	}
}

/* Threads that do the same at once, each with a number of its own from 1 on. */
#define	FX_THREADS	3

static inline void
fx_hammer_start(pthread_t t[FX_THREADS], void *(*hammer)(void *))
{
	for (uintptr_t i = 0; i < FX_THREADS; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, hammer, (void *)(i + 1)), 0);
}

static inline void
fx_hammer_join(pthread_t t[FX_THREADS])
{
	for (int i = 0; i < FX_THREADS; i++)
		pthread_join(t[i], NULL);
}

#endif /* _VMM_FIXTURE_H_ */
