/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bhyve_keys.c - bhyve's keys of the VM, and how its tree becomes hyve's.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "bhyve.h"
#include "boot/boot.h"
#include "cmd.h"
#include "device.h"
#include "error.h"
#include "firmware/firmware.h"
#include "firmware/smbios.h"
#include "machine/machine.h"
#include "newvm.h"

#define	FIRST_SLOT	1
#define	LAST_SLOT	30		/* of hyve's machine, for devices */

void
bhyve_tell(const struct config_origin *origin, const char *fmt, ...)
{
	char where[512];
	va_list ap;

	fprintf(stderr, "bhyve: %s: ", config_origin_text(origin, where, sizeof(where)));
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

int
bhyve_set(struct bhyve *b, const struct bhyve_slot *slot, const char *key, const char *text, const struct config_origin *origin)
{
	char name[CONFIG_NAME_MAX + 1], *literal = malloc(strlen(text) * 2 + 1), *to = literal;
	int r;

	if (literal == NULL)
		return (vmm_fail(ENOMEM, "no memory"));
	do {
		if (*text == '%')
			*to++ = '%';
		*to++ = *text;
	} while (*text++ != '\0');
	if (slot != NULL)
		(void)snprintf(name, sizeof(name), "pci.0.%u.0.%s", slot->at, key);
	else
		(void)snprintf(name, sizeof(name), "%s", key);
	r = config_set(b->hyve, name, literal, origin);
	free(literal);
	return (r);
}

/* Rules that need more than a name */

static bool
is_default(const struct config_value *val)
{
	char def[32];
	const char *text = config_default_text(val->key, def);

	return (val->key->type == CONFIG_BOOL ? val->u.b == (val->key->ndef != 0) : text != NULL && strcmp(text, val->text) == 0);
}

/* Whether it is a boot ROM of FreeBSD's package, which is for bhyve's machine and not for hyve's. */
static bool
is_bhyves(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;

	return (strncasecmp(name, "BHYVE", 5) == 0 || strncmp(path, "/usr/local/share/uefi-firmware/", 31) == 0 ||
	    strncmp(path, "/usr/local/share/edk2-bhyve/", 28) == 0);
}

static int
bootrom(struct bhyve *b, const struct bhyve_slot *slot, const char *key, const struct config_value *val)
{
	if (!is_bhyves(val->text))
		return (bhyve_set(b, NULL, "firmware.code", val->text, &val->origin));
	if (strstr(val->text, "CSM") != NULL) {
		bhyve_tell(&val->origin, "'%s' is for bhyve's machine, and its CSM for BIOS systems; hyve starts the installed SeaBIOS instead", val->text);
		return (bhyve_set(b, NULL, "firmware.code", "bios", &val->origin));
	}
	bhyve_tell(&val->origin, "'%s' is for bhyve's machine; hyve starts the installed UEFI firmware instead", val->text);
	return (bhyve_set(b, NULL, "firmware.code", "uefi", &val->origin));
}

/*
 * A null modem has two ends, both FreeBSD's.  Here it is a pseudo terminal, whose both ends this process has until it ends, so that it
 * lasts over the guest's resets; its name takes the place of the other end's.
 */
static int
null_modem(struct bhyve *b, const struct config_value *val)
{
	char name[64], fd[16];
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0 || ptsname_r(master, name, sizeof(name)) != 0 ||
	    open(name, O_RDWR | O_NOCTTY | O_CLOEXEC) < 0)
		return (vmm_fail_sys(errno, "a pseudo terminal"));
	bhyve_tell(&val->origin, "'%s': null modems are FreeBSD's; the serial port's other end is the terminal %s", val->text, name);
	(void)snprintf(fd, sizeof(fd), "fd:%d", master);
	return (bhyve_set(b, NULL, "com1.path", fd, &val->origin));
}

/* A serial port: standard input and output, or what the host has. */
static int
com1(struct bhyve *b, const struct bhyve_slot *slot, const char *key, const struct config_value *val)
{
	if (strncmp(val->text, "/dev/nmdm", 9) == 0)
		return (null_modem(b, val));
	if (strncmp(val->text, "tcp=", 4) == 0)
		return (vmm_fail(ENOTSUP, "'%.64s': hyve serves no serial port by TCP; use stdio, or a terminal that socat connects", val->text));
	return (bhyve_set(b, NULL, "com1.path", val->text, &val->origin));
}

/* A guest that reboots ends the process, as bhyve's does, unless this is so. */
static int
monitor(struct bhyve *b, const struct bhyve_slot *slot, const char *key, const struct config_value *val)
{
	return (bhyve_set(b, NULL, "reboot", val->u.b ? "true" : "false", &val->origin));
}

/* What hyve may have under the same name. */
static int
if_there(struct bhyve *b, const struct bhyve_slot *slot, const char *key, const struct config_value *val)
{
	if (bhyve_set(b, NULL, key, val->text, &val->origin) == 0)
		return (0);
	if (errno != ENOENT)
		return (-1);
	return (is_default(val) ? 0 : vmm_fail(ENOTSUP, "this hyve has no %s", key));
}

static int
localtime_or_not(struct bhyve *b, const struct bhyve_slot *slot, const char *key, const struct config_value *val)
{
	return (bhyve_set(b, NULL, "pc.rtc.time", val->u.b ? "local" : "utc", &val->origin));
}

#define	SMBIOS(name)	{ KEY_STRING(name, NULL, "what firmware tells of the machine"), .to = "smbios." name }
#define	NO_BOARD	"the guest is told of no board"
#define	BOARD(name)	{ KEY_STRING("board." name, NULL, "what firmware tells of the board"), .say = NO_BOARD }
#define	NO_SERIAL	"hyve's PC has one serial port, com1"
#define	NO_TPM		"hyve has no TPM yet"
#define	NO_PIECES	"the machine's bridges are Intel's of a Q35, whatever is asked for"

static const char *const fwcfgs[] = { "bhyve", "qemu", NULL };

static const struct bhyve_rule rules[] = {
	{ KEY_STRING("name", NULL, "name of the VM"), .to = "name" },
	{ KEY_UUID("uuid", NULL, "the VM's identity in firmware tables"), .to = "uuid" },
	{ KEY_INT("cpus", 1, 1, VM_MAXCPU, "number of vCPUs"), .to = "cpus" },
	{ KEY_INT("sockets", 1, 1, VM_MAXCPU, "sockets that the guest is told of"), .to = "sockets" },
	{ KEY_INT("cores", 1, 1, VM_MAXCPU, "cores per socket"), .to = "cores" },
	{ KEY_INT("threads", 1, 1, VM_MAXCPU, "threads per core"), .to = "threads" },
	{ KEY_STRING("memory.size", "256M", "RAM of the guest"), .to = "memory.size" },
	{ KEY_BOOL("memory.wired", false, "lock guest memory in host RAM"), .to = "memory.wired" },
	{ KEY_BOOL("memory.guest_in_core", false, "keep guest memory in core dumps"), .to = "memory.guest_in_core" },
	{ KEY_BOOL("acpi_tables", true, "ACPI tables for the guest"), .say = "guests always have ACPI tables" },
	{ KEY_BOOL("acpi_tables_in_memory", true, "ACPI tables where a kernel without firmware looks"),
	    .say = "a kernel without firmware always finds ACPI tables in memory" },
	{ KEY_BOOL("destroy_on_poweroff", false, "a VM that a loader filled is gone when it was powered off"), NOTHING },
	{ KEY_BOOL("monitor", false, "a reboot does not end the process"), .fn = monitor },
	{ KEY_STRING("bootrom", NULL, "firmware"), .fn = bootrom },
	{ KEY_PATH("bootvars", NULL, "file of the firmware's variables"), .to = "firmware.vars" },
	{ KEY_STRING("lpc.bootrom", NULL, "firmware"), .fn = bootrom },
	{ KEY_PATH("lpc.bootvars", NULL, "file of the firmware's variables"), .to = "firmware.vars" },
	{ KEY_STRING("lpc.com1.path", NULL, "serial port"), .fn = com1 },
	{ KEY_STRING("lpc.com2.path", NULL, "serial port"), .say = NO_SERIAL },
	{ KEY_STRING("lpc.com3.path", NULL, "serial port"), .say = NO_SERIAL },
	{ KEY_STRING("lpc.com4.path", NULL, "serial port"), .say = NO_SERIAL },
	/* Firmware gets its configuration by QEMU's interface, for which hyve's firmware is made. */
	{ KEY_ENUM("lpc.fwcfg", "bhyve", fwcfgs, "how firmware gets its configuration"), NOTHING },
	{ KEY_BOOL("lpc.pc-testdev", false, "a device for tests"), .to = "pc.testdev" },
	{ KEY_STRING("lpc.pcireg.vendor", NULL, "vendor"), .say = NO_PIECES }, { KEY_STRING("lpc.pcireg.device", NULL, "device"), .say = NO_PIECES },
	{ KEY_STRING("lpc.pcireg.revid", NULL, "revision"), .say = NO_PIECES },
	{ KEY_STRING("lpc.pcireg.subvendor", NULL, "vendor of the board"), .say = NO_PIECES },
	{ KEY_STRING("lpc.pcireg.subdevice", NULL, "board"), .say = NO_PIECES },
	{ KEY_STRING("tpm.type", NULL, "passthru or swtpm"), .refuse = true, .say = NO_TPM },
	{ KEY_STRING("tpm.path", NULL, "the TPM"), .refuse = true, .say = NO_TPM },
	{ KEY_STRING("tpm.version", NULL, "its version"), .refuse = true, .say = NO_TPM },
	{ KEY_STRING("gdb.address", NULL, "address for a debugger"), .fn = if_there },
	{ KEY_INT("gdb.port", 0, 0, 65535, "port for a debugger"), .fn = if_there },
	{ KEY_BOOL("gdb.wait", false, "wait for a debugger"), .fn = if_there },
	{ KEY_STRING("keyboard.layout", NULL, "keyboard of a screen"), .say = "hyve has no screen yet, whose keyboard could have a layout" },
	{ KEY_BOOL("rtc.use_localtime", true, "the RTC has local time"), .fn = localtime_or_not },
	{ KEY_BOOL("virtio_msix", true, "virtio devices interrupt by messages"),
	    .say = "virtio devices have MSI-X and pins, and their drivers choose" },
	{ KEY_BOOL("virtio.msix", true, "the same"), .say = "virtio devices have MSI-X and pins, and their drivers choose" },
	{ KEY_BOOL("config.dump", false, "print all keys and exit"), NOTHING },
	{ KEY_STRING("rundir", NULL, "folder for sockets"), .say = "sockets are in hyve's run directory" },
	/* There is none; guests find processors by ACPI. */
	{ KEY_BOOL("x86.mptable", true, "an MP table"), NOTHING },
	{ KEY_BOOL("x86.x2apic", false, "local APICs in x2APIC mode"), NOTHING },
	{ KEY_BOOL("x86.strictio", false, "accesses to ports that nobody has end the VM"),
	    .say = "what a guest reads from ports that nobody has are ones, and the VM goes on" },
	{ KEY_BOOL("x86.strictmsr", true, "accesses to unknown MSRs fault"), .to = "pc.strictmsr" },
	{ KEY_BOOL("x86.verbosemsr", false, "tell of unknown MSRs"), .say = "hyve tells of unknown MSRs with log.level=cpu=debug" },
	{ KEY_BOOL("x86.vmexit_on_hlt", false, "an idle guest gives its processor back"), NOTHING },
	{ KEY_BOOL("x86.vmexit_on_pause", false, "so does a guest that spins"), NOTHING },
	{ KEY_STRING("console", NULL, "arm64: serial port"), .refuse = true,
	    .say = "bhyve has it on arm64, whose machine is not hyve's; here it is lpc.com1.path" },
	SMBIOS("bios.vendor"), SMBIOS("bios.version"), SMBIOS("bios.release_date"),
	SMBIOS("system.family_name"), SMBIOS("system.manufacturer"), SMBIOS("system.product_name"), SMBIOS("system.serial_number"),
	SMBIOS("system.sku"), SMBIOS("system.version"),
	BOARD("manufacturer"), BOARD("product_name"), BOARD("version"), BOARD("serial_number"), BOARD("asset_tag"), BOARD("location"),
	SMBIOS("chassis.manufacturer"), SMBIOS("chassis.version"), SMBIOS("chassis.serial_number"), SMBIOS("chassis.asset_tag"),
	SMBIOS("chassis.sku"),
};

#define	NRULES	(sizeof(rules) / sizeof(rules[0]))

static const struct bhyve_rule vcpu_rules[] = {
	{ KEY_CPUSET("cpuset", NULL, "processors of the host that it runs on"), .fn = if_there },
};

#define	NO_DOMAINS	"hyve has no NUMA domains; all memory is in one"

static const struct bhyve_rule domain_rules[] = {
	{ KEY_STRING("size", NULL, "its memory"), .refuse = true, .say = NO_DOMAINS },
	{ KEY_STRING("cpus", NULL, "its vCPUs"), .refuse = true, .say = NO_DOMAINS },
	{ KEY_STRING("domain_policy", NULL, "where it is on the host"), .refuse = true, .say = NO_DOMAINS },
};

#define	NVCPU	(sizeof(vcpu_rules) / sizeof(vcpu_rules[0]))
#define	NDOMAIN	(sizeof(domain_rules) / sizeof(domain_rules[0]))

static struct config_key keys[NRULES], vcpu_keys[NVCPU], domain_keys[NDOMAIN];

static int
declare(struct config *cfg, const char *prefix, const struct bhyve_rule *rule, struct config_key *key, size_t n)
{
	const struct config_keys table = { key, (unsigned)n };

	for (size_t i = 0; i < n; i++)
		key[i] = rule[i].key;
	return (config_declare(cfg, prefix, &table));
}

static const struct bhyve_rule *
rule_of(const struct config_key *key)
{
	if (key >= keys && key < keys + NRULES)
		return (&rules[key - keys]);
	if (key >= vcpu_keys && key < vcpu_keys + NVCPU)
		return (&vcpu_rules[key - vcpu_keys]);
	if (key >= domain_keys && key < domain_keys + NDOMAIN)
		return (&domain_rules[key - domain_keys]);
	return (NULL);
}

struct config *
bhyve_tree(void)
{
	struct config *cfg = config_new();
	const struct machine_class *cls;

	if (cfg == NULL || declare(cfg, "", rules, keys, NRULES) != 0 ||
	    declare(cfg, "vcpu.*", vcpu_rules, vcpu_keys, NVCPU) != 0 || declare(cfg, "domains.*", domain_rules, domain_keys, NDOMAIN) != 0 ||
	    config_declare_slots(cfg, "pci.*.*.*", &bhyve_selector, bhyve_device_keys) != 0 ||
	    /* hyve's own, for what bhyve has no word for. */
	    config_declare(cfg, "", &config_global_keys) != 0 || config_declare(cfg, "boot", &boot_keys) != 0 ||
	    config_declare(cfg, "boot.module.*", &boot_module_keys) != 0 || config_declare(cfg, "firmware", &firmware_keys) != 0 ||
	    config_declare(cfg, "firmware.item.*", &firmware_item_keys) != 0 ||
	    config_declare(cfg, "smbios", &smbios_keys) != 0 || (cls = machine_find(vmm_arch(cfg))) == NULL ||
	    config_declare(cfg, cls->name, &cls->keys) != 0)
		goto fail;
	for (const struct machine_part *part = cls->parts; part->prefix != NULL; part++) {
		if (config_declare(cfg, part->prefix, device_class_keys(part->device)) != 0)
			goto fail;
	}
	return (cfg);
fail:
	config_free(cfg);
	return (NULL);
}

/* Slots */

/* "pci.B.S.F." and the rest, or false. */
static bool
parse_place(const char *name, unsigned *bus, unsigned *slot, unsigned *func, const char **rest)
{
	unsigned *const n[] = { bus, slot, func };
	char *end;

	if (strncmp(name, "pci.", 4) != 0)
		return (false);
	name += 4;
	for (unsigned i = 0; i < 3; i++) {
		if (!isdigit((unsigned char)*name))
			return (false);
		*n[i] = (unsigned)strtoul(name, &end, 10);
		if (*end != '.')
			return (false);
		name = end + 1;
	}
	*rest = name;
	return (*bus <= 255 && *slot <= 31 && *func <= 7);
}

static struct bhyve_slot *
find_slot(struct bhyve *b, const char *name, const char **rest)
{
	unsigned bus, slot, func;

	if (!parse_place(name, &bus, &slot, &func, rest))
		return (NULL);
	for (unsigned i = 0; i < b->nslots; i++) {
		if (b->slots[i].bus == bus && b->slots[i].slot == slot && b->slots[i].func == func)
			return (&b->slots[i]);
	}
	return (NULL);
}

/* config_each(): collect what is in slots. */
static int
collect(void *arg, const char *name, const struct config_key *key, const char *text, const struct config_origin *origin)
{
	struct bhyve *b = arg;
	struct bhyve_slot s = { .origin = *origin };
	struct config_value val;
	char where[512];
	const char *rest;

	if (key != &bhyve_selector || text == NULL)
		return (0);
	if (!parse_place(name, &s.bus, &s.slot, &s.func, &rest))
		return (vmm_fail(EINVAL, "%s: %s: slots are pci.BUS.SLOT.FUNCTION with buses 0 to 255, slots 0 to 31 and functions 0 to 7",
		    config_origin_text(origin, where, sizeof(where)), name));
	if (config_get(config_node(b->tree, ""), name, &val) != 0)
		return (-1);
	if (b->nslots == sizeof(b->slots) / sizeof(b->slots[0]))
		return (vmm_fail(E2BIG, "there are more than %zu devices", sizeof(b->slots) / sizeof(b->slots[0])));
	s.device = val.text;
	s.emul = bhyve_emulation_find(val.text);
	b->slots[b->nslots++] = s;
	return (0);
}

/* What is left out or is the machine's own is told; what the machine has no such place for goes to a free one. */
static int
place_slots(struct bhyve *b)
{
	struct bhyve_slot *s;
	enum bhyve_fate fate;
	char where[512];

	for (s = b->slots; s < b->slots + b->nslots; s++) {
		fate = s->emul != NULL ? s->emul->fate : BHYVE_DEVICE;
		if (fate == BHYVE_REFUSED)
			return (vmm_fail(ENOTSUP, "%s: %s: %s", config_origin_text(&s->origin, where, sizeof(where)), s->device, s->emul->say));
		if (fate == BHYVE_IGNORED) {
			bhyve_tell(&s->origin, "%s is left out: %s", s->device, s->emul->say);
			b->has_screen |= strcmp(s->device, "fbuf") == 0;
		} else if (fate == BHYVE_MACHINE && (s->bus != 0 || s->slot != s->emul->slot || s->func != 0 ||
		    strcmp(s->device, "amd_hostbridge") == 0))
			bhyve_tell(&s->origin, "%s: %s", s->device, s->emul->say);
		else if (fate == BHYVE_DEVICE && s->bus == 0 && s->func == 0 && s->slot >= FIRST_SLOT && s->slot <= LAST_SLOT)
			s->at = s->slot;
	}
	for (s = b->slots; s < b->slots + b->nslots; s++) {
		if (s->at != 0 || (s->emul != NULL && s->emul->fate != BHYVE_DEVICE))
			continue;
		for (s->at = FIRST_SLOT; s->at <= LAST_SLOT; s->at++) {
			const struct bhyve_slot *o = b->slots;

			while (o < b->slots + b->nslots && (o == s || o->at != s->at))
				o++;
			if (o == b->slots + b->nslots)
				break;
		}
		if (s->at > LAST_SLOT)
			return (vmm_fail(ENOSPC, "there are more than %d devices", LAST_SLOT - FIRST_SLOT + 1));
		bhyve_tell(&s->origin, "%s: hyve's devices are functions 0 of bus 0 in slots %d to %d; it is at 0:%u:0 instead of %u:%u:%u", s->device,
		    FIRST_SLOT, LAST_SLOT, s->at, s->bus, s->slot, s->func);
	}
	for (s = b->slots; s < b->slots + b->nslots; s++) {
		if (s->at != 0 && bhyve_set(b, s, "device", s->emul != NULL ? s->emul->device : s->device, &s->origin) != 0)
			return (-1);
	}
	return (0);
}

/* Keys */

bool
bhyve_is_ruled(const struct config_key *key)
{
	const struct bhyve_emulation *e;

	if (key == &bhyve_selector || rule_of(key) != NULL)
		return (true);
	for (unsigned i = 0; (e = bhyve_emulation_at(i)) != NULL; i++) {
		if (bhyve_device_rule(e, key) != NULL)
			return (true);
	}
	return (false);
}

static int
apply(struct bhyve *b, const struct bhyve_rule *rule, const struct bhyve_slot *slot, const char *name, const char *rest,
    const struct config_value *val)
{
	char to[CONFIG_NAME_MAX + 1], where[512];
	const char *dot;
	int error;

	if (rule->fn != NULL) {
		if (rule->fn(b, slot, rest, val) == 0)
			return (0);
		error = errno;
		return (vmm_fail(error, "%s: %s: %s", config_origin_text(&val->origin, where, sizeof(where)), name, vmm_errmsg()));
	}
	if (rule->refuse)
		return (vmm_fail(ENOTSUP, "%s: %s: %s", config_origin_text(&val->origin, where, sizeof(where)), name, rule->say));
	if (rule->to != NULL) {
		/* Of a unit, below its prefix. */
		dot = slot != NULL && slot->emul->units != 0 ? strrchr(rest, '.') : NULL;
		(void)snprintf(to, sizeof(to), "%.*s%s", dot != NULL ? (int)(dot - rest) + 1 : 0, rest, rule->to);
		return (bhyve_set(b, slot, to, val->text, &val->origin));
	}
	if (rule->say != NULL && !is_default(val))
		bhyve_tell(&val->origin, "%s: %s", name, rule->say);
	return (0);
}

/* config_each(): one key that was set. */
static int
translate(void *arg, const char *name, const struct config_key *key, const char *text, const struct config_origin *origin)
{
	struct bhyve *b = arg;
	const struct bhyve_rule *rule;
	struct config_value val;
	const struct bhyve_slot *slot = NULL;
	const char *rest = name;

	if (origin->source == CONFIG_FROM_DEFAULT || key == &bhyve_selector)
		return (0);
	if (config_get(config_node(b->tree, ""), name, &val) != 0)
		return (-1);
	/* hyve's of the same name. */
	if (val.key != key)
		return (0);
	if (strncmp(name, "pci.", 4) == 0) {
		slot = find_slot(b, name, &rest);
		/* Left out, or the machine's own. */
		if (slot == NULL)
			return (0);
		rule = slot->emul != NULL ? bhyve_device_rule(slot->emul, val.key) : NULL;
		if (slot->at == 0 && (rule == NULL || rule->say == NULL))
			return (0);
	} else
		rule = rule_of(val.key);
	if (rule == NULL)
		return (bhyve_set(b, slot, rest, val.text, &val.origin));
	return (apply(b, rule, slot, name, rest, &val));
}

int
bhyve_translate(struct bhyve *b)
{
	static const struct config_origin code = { CONFIG_FROM_CODE, "bhyve", 0 };
	struct config_value arch;
	char where[512], def[32];

	if (config_check(b->tree) != 0)
		return (-1);
	/* The default is what bhyve's machine there is a PC for. */
	if (config_get(config_node(b->tree, ""), "arch", &arch) == 0 && arch.set && strcmp(arch.text, config_default_text(arch.key, def)) != 0)
		return (vmm_fail(ENOTSUP, "%s: arch: bhyve's machine for %s is not hyve's; 'hyve run --arch %s' runs such guests",
		    config_origin_text(&arch.origin, where, sizeof(where)), arch.text, arch.text));
	/* As bhyve: a guest's reboot is the end of the process, and the RTC has the time that people have. */
	if (config_set(b->hyve, "reboot", "false", &code) != 0 || config_set(b->hyve, "pc.rtc.time", "local", &code) != 0)
		return (-1);
	if (config_each(b->tree, collect, b) != 0 || place_slots(b) != 0 || config_each(b->tree, translate, b) != 0)
		return (-1);
	return (0);
}
