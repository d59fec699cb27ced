/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qmp_plug.c - devices that clients put in and take out.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "../machine/machine.h"
#include "../machine/plug.h"
#include "qmp_internal.h"

#define	NUMBER_LEN	24

static struct machine *
machine_of(const struct qmp_call *call)
{
	struct machine *m = call->q->machine;

	if (call->q->vmm->vm == NULL || (m != NULL && m->cls != NULL && m->parts == NULL))
		return (vmm_fail_null(EAGAIN, "the VM is being started anew; try again"));
	return (m != NULL && m->cls != NULL ? m : vmm_fail_null(ENOTSUP, "this VM has no machine around its processors"));
}

static const char *
text_of(const struct qmp_call *call, const char *name)
{
	return (json_string_value(json_object_get(call->args, name)));
}

/* What QEMU calls classes of ours. */
static const char *
class_of(const char *driver)
{
	static const char *const names[][2] = { { "virtio-blk-pci", "virtio-blk" }, { "virtio-net-pci", "virtio-net" } };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(driver, names[i][0]) == 0)
			return (names[i][1]);
	}
	return (driver);
}

/* Members that name a back end: there are none apart from devices. */
static int
check_member(const char *name)
{
	if (strcmp(name, "drive") == 0)
		return (vmm_fail(EINVAL, "'drive' would name a disk image that was opened before; give the image itself, by the key 'path'"));
	if (strcmp(name, "netdev") == 0)
		return (vmm_fail(EINVAL, "'netdev' would name a network that was made before; give it itself, by the key 'backend' and what belongs to it"));
	return (0);
}

/* A value as text: strings as they are, numbers and booleans as the configuration spells them.  number is for those.  NULL with a sentence. */
static const char *
value_text(const char *name, const json_t *val, char number[NUMBER_LEN])
{
	if (json_is_string(val))
		return (json_string_value(val));
	if (json_is_boolean(val))
		return (json_is_true(val) ? "true" : "false");
	if (!json_is_integer(val))
		return (vmm_fail_null(EINVAL, "key '%.64s' is to be a string, an integer, or true or false", name));
	(void)snprintf(number, NUMBER_LEN, "%" JSON_INTEGER_FORMAT, json_integer_value(val));
	return (number);
}

static int
take_keys(const struct qmp_call *call, struct plug_request *r, struct plug_key *keys, char (*numbers)[NUMBER_LEN])
{
	const char *name;
	const json_t *val;

	json_object_foreach(call->args, name, val) {
		struct plug_key *key = &keys[r->nkeys];

		if (strcmp(name, "driver") == 0 || strcmp(name, "id") == 0 || strcmp(name, "bus") == 0)
			continue;
		if (check_member(name) != 0)
			return (-1);
		*key = (struct plug_key){ name, value_text(name, val, numbers[r->nkeys]) };
		if (key->value == NULL)
			return (-1);
		r->nkeys++;
	}
	return (0);
}

static json_t *
run_add(const struct qmp_call *call)
{
	struct machine *m = machine_of(call);
	size_t n = json_object_size(call->args);
	struct plug_key *keys;
	char (*numbers)[NUMBER_LEN];
	struct plug_request r;
	int error = -1, saved;

	if (m == NULL)
		return (NULL);
	keys = calloc(n, sizeof(*keys));
	numbers = calloc(n, sizeof(*numbers));
	r = (struct plug_request){ .device = class_of(text_of(call, "driver")), .id = text_of(call, "id"), .port = text_of(call, "bus"), .keys = keys };
	if (keys == NULL || numbers == NULL)
		(void)vmm_fail(ENOMEM, "no memory");
	else if (take_keys(call, &r, keys, numbers) == 0)
		error = plug_add(m, &r);
	saved = errno;
	free(keys);
	free(numbers);
	errno = saved;
	return (error == 0 ? qmp_nothing() : NULL);
}

static json_t *
run_del(const struct qmp_call *call)
{
	struct machine *m = machine_of(call);

	return (m != NULL && plug_remove(m, text_of(call, "id")) >= 0 ? qmp_nothing() : NULL);
}

/* Events */

static void
tell(struct qmp *q, const char *event, const char *id, const char *name)
{
	json_t *data = json_pack("{s:s}", "path", name);

	if (data != NULL && id != NULL)
		(void)json_object_set_new(data, "device", qmp_text(id));
	qmp_event(q, event, data);
}

void
qmp_device_gone(void *arg, const char *id, const char *name)
{
	tell(arg, "DEVICE_DELETED", id, name);
}

void
qmp_device_kept(void *arg, const char *id, const char *name)
{
	tell(arg, "DEVICE_UNPLUG_GUEST_ERROR", id, name);
}

/* Tables */

static const struct qmp_member args_add[] = {
	{ "driver", "str", false, "class of the device: virtio-blk, virtio-net" },
	{ "id", "str", true, "what it is to be called; else it is called by the name of its keys, as pci.20.0.0" },
	{ "bus", "str", true, "the root port: its id, or the name of its keys, as pci.0.20.0; else the first that is free" },
	{ QMP_OTHERS, "any", true, "keys of the device as in hyve-devices(7), and their values" }, { NULL, NULL, false, NULL },
};
static const struct qmp_member args_del[] = {
	{ "id", "str", false, "what the device is called" }, { NULL, NULL, false, NULL },
};
static const struct qmp_member event_data[] = {
	{ "device", "str", true, "the device's id, if it has one" }, { "path", "str", false, "the name of its keys" }, { NULL, NULL, false, NULL },
};

static const struct qmp_command commands[] = {
	{ "device_add", args_add, NULL, run_add, "put a device behind a root port, where the guest finds it" },
	{ "device_del", args_del, NULL, run_del, "ask the guest to let go of a device behind a root port; it is there until DEVICE_DELETED" },
	{ NULL, NULL, NULL, NULL, NULL },
};
static const struct qmp_event_type events[] = {
	{ "DEVICE_DELETED", event_data, "a device that was to go is gone, its files are closed" },
	{ "DEVICE_UNPLUG_GUEST_ERROR", event_data, "the guest was to let go of a device, and keeps it" },
	{ NULL, NULL, NULL },
};

const struct qmp_group qmp_group_plug = { commands, NULL, events };
