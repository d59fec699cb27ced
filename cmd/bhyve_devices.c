/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bhyve_devices.c - bhyve's device emulations: their keys, what becomes of each, and how -s writes them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bhyve.h"
#include "device.h"
#include "error.h"

#define	AHCI_PORTS	6		/* hyve's controller has as many */
#define	CONSOLE_PORTS	16

const struct config_key bhyve_selector = KEY_STRING("device", NULL, "which device is in the slot");

static int
set_below(struct bhyve *b, const char *node, const char *key, const char *text, int n)
{
	char name[CONFIG_NAME_MAX + 1];

	if ((size_t)snprintf(name, sizeof(name), "%s.%s", node, key) >= sizeof(name))
		return (vmm_fail(E2BIG, "'%.32s...' is longer than a key", key));
	return (bhyve_key(b, name, text, n));
}

/* Items "key=value", or "key" for true, separated by commas. */
static int
set_items(struct bhyve *b, const char *node, char *text, int n)
{
	char *item, *value;

	while ((item = strsep(&text, ",")) != NULL) {
		if (*item == '\0')
			continue;
		value = strchr(item, '=');
		if (value != NULL)
			*value++ = '\0';
		if (set_below(b, node, item, value != NULL ? value : "true", n) != 0)
			return (-1);
	}
	return (0);
}

/* What comes first has no name, unless it looks like an item; then items. */
static int
parse_items(struct bhyve *b, const struct bhyve_emulation *e, const char *node, char *text, int n)
{
	char *first;

	if (text == NULL)
		return (0);
	if (e->first != NULL && strncmp(text, "ram=", 4) != 0) {
		first = strsep(&text, ",");
		if (*first != '\0' && set_below(b, node, e->first, first, n) != 0)
			return (-1);
	}
	return (text != NULL ? set_items(b, node, text, n) : 0);
}

/* Disks */

/* "logical[/physical]": what guests are told of physical sectors follows from the image. */
static int
sectors(struct bhyve *b, const struct bhyve_slot *slot, const char *key, const struct config_value *val)
{
	char logical[16], *end;
	size_t len = strcspn(val->text, "/");
	unsigned long long physical = 0;

	if (val->text[len] == '/') {
		physical = strtoull(val->text + len + 1, &end, 10);
		if (*end != '\0' || physical == 0 || (physical & (physical - 1)) != 0)
			return (vmm_fail(EINVAL, "'%.32s' is not a sector size such as 512 or 512/4096", val->text));
		if (physical != strtoull(val->text, NULL, 10))
			bhyve_tell(&val->origin, "%s: sectors are told to have %.*s bytes logically; physical ones follow from the image", key,
			    (int)len, val->text);
	}
	(void)snprintf(logical, sizeof(logical), "%.*s", (int)len, val->text);
	return (bhyve_set(b, slot, key, logical, &val->origin));
}

/* Writes that are durable when they complete. */
static int
sync_writes(struct bhyve *b, const struct bhyve_slot *slot, const char *key, const struct config_value *val)
{
	char name[CONFIG_NAME_MAX + 1];
	const char *dot = strrchr(key, '.');

	if (!val->u.b)
		return (0);
	(void)snprintf(name, sizeof(name), "%.*scache", dot != NULL ? (int)(dot - key) + 1 : 0, key);
	return (bhyve_set(b, slot, name, "writethrough", &val->origin));
}

static int
no_delete(struct bhyve *b, const struct bhyve_slot *slot, const char *key, const struct config_value *val)
{
	char name[CONFIG_NAME_MAX + 1];
	const char *dot = strrchr(key, '.');

	if (!val->u.b)
		return (0);
	if (strcmp(slot->emul->device, "nvme") == 0)
		return (bhyve_set(b, slot, "dsm", "disable", &val->origin));
	(void)snprintf(name, sizeof(name), "%.*sdiscard", dot != NULL ? (int)(dot - key) + 1 : 0, key);
	return (bhyve_set(b, slot, name, "false", &val->origin));
}

/* A volume of ZFS is where Linux has it. */
static int
disk_path(struct bhyve *b, const struct bhyve_slot *slot, const char *key, const struct config_value *val)
{
	struct stat st;

	if (strncmp(val->text, "/dev/zvol/", 10) == 0 && stat(val->text, &st) != 0)
		return (vmm_fail(ENOENT, "there is no '%s': ZFS on Linux has a volume there once the pool is imported and udev has seen it; "
		    "'zfs list -t volume' lists them", val->text));
	return (bhyve_set(b, slot, key, val->text, &val->origin));
}

#define	DISK_RULES									\
	{ KEY_PATH("path", NULL, "image or block device"), .fn = disk_path },		\
	{ KEY_BOOL("nocache", false, "go around the host's cache"), .to = "nocache" },	\
	{ KEY_BOOL("nodelete", false, "discard nothing"), .fn = no_delete },		\
	{ KEY_BOOL("sync", false, "every write is durable"), .fn = sync_writes },	\
	{ KEY_BOOL("direct", false, "the same"), .fn = sync_writes },			\
	{ KEY_BOOL("ro", false, "refuse writes"), .to = "ro" },				\
	{ KEY_INT("bootindex", -1, -1, DEVICE_BOOT_MAX, "place in the order in which firmware boots"), .to = "bootindex" }

static const struct bhyve_rule blk_rules[] = {
	DISK_RULES,
	{ KEY_STRING("sectorsize", NULL, "logical[/physical]"), .fn = sectors },
	{ KEY_STRING("ser", NULL, "serial number"), .to = "serial" },
};

static const struct bhyve_rule nvme_rules[] = {
	DISK_RULES,
	{ KEY_STRING("ram", NULL, "MiB of a disk in memory"), .refuse = true,
	    .say = "hyve has no disks in memory; make a file in /dev/shm of that size and name it as path" },
	{ KEY_INT("maxq", 16, 1, 65535, "queues"), .to = "maxq" },
	{ KEY_INT("qsz", 2058, 2, 65536, "entries of a queue"), .to = "qsz" },
	{ KEY_INT("ioslots", 8, 1, 1024, "requests at once"), .to = "ioslots" },
	{ KEY_STRING("sectsz", NULL, "logical block size"), .to = "sectsz" },
	{ KEY_STRING("sectorsize", NULL, "logical block size"), .to = "sectsz" },
	{ KEY_STRING("ser", NULL, "serial number"), .to = "ser" },
	{ KEY_STRING("eui64", NULL, "identifier of the namespace"), .to = "eui64" },
	{ KEY_STRING("dsm", NULL, "auto, enable or disable"), .to = "dsm" },
};

static const char *const ahci_types[] = { "hd", "cd", NULL };

static const struct bhyve_rule ahci_rules[] = {
	{ KEY_ENUM("type", "hd", ahci_types, "disk or CD drive"), .to = "type" },
	DISK_RULES,
	{ KEY_STRING("sectorsize", NULL, "logical[/physical]"), .fn = sectors },
	{ KEY_INT("nmrr", 0, 0, 0xfffe, "rotation rate"), .to = "nmrr" },
	{ KEY_STRING("ser", NULL, "serial number"), .to = "ser" },
	{ KEY_STRING("rev", NULL, "firmware revision"), .to = "rev" },
	{ KEY_STRING("model", NULL, "model number"), .to = "model" },
};

/* "[hd:|cd:]path,items", as often as there are ports; ahci-hd and ahci-cd have one, and no type before the path. */
static int
parse_ahci(struct bhyve *b, const struct bhyve_emulation *e, const char *node, char *text, int n)
{
	const char *type = strcmp(e->name, "ahci-cd") == 0 ? "cd" : strcmp(e->name, "ahci-hd") == 0 ? "hd" : NULL;
	char port[CONFIG_NAME_MAX + 1], *item, *value;
	int ports = -1;

	if (text == NULL && type == NULL)
		return (0);
	do {
		item = strsep(&text, ",");
		if (item != NULL && type == NULL && (strncmp(item, "hd:", 3) == 0 || strncmp(item, "cd:", 3) == 0)) {
			if (++ports == AHCI_PORTS)
				return (vmm_fail(E2BIG, "hyve's AHCI controller has %d ports; put what is more into another slot", AHCI_PORTS));
			(void)snprintf(port, sizeof(port), "%s.port.%d", node, ports);
			item[2] = '\0';
			if (set_below(b, port, "type", item, n) != 0 ||
			    (item[3] != '\0' && set_below(b, port, "path", item + 3, n) != 0))
				return (-1);
		} else if (ports < 0) {
			ports = 0;
			(void)snprintf(port, sizeof(port), "%s.port.0", node);
			if (set_below(b, port, "type", type != NULL ? type : "hd", n) != 0 ||
			    (item != NULL && *item != '\0' && set_below(b, port, "path", item, n) != 0))
				return (-1);
		} else if (item != NULL && *item != '\0') {
			value = strchr(item, '=');
			if (value != NULL)
				*value++ = '\0';
			if (set_below(b, port, item, value != NULL ? value : "true", n) != 0)
				return (-1);
		}
	} while (text != NULL);
	return (0);
}

/* Network */

/* By the name of the back end, as bhyve finds it; type says it explicitly, and a name follows. */
static int
backend(struct bhyve *b, const struct bhyve_slot *slot, const char *key, const struct config_value *val)
{
	char node[64];
	const char *name = val->text, *type;

	(void)snprintf(node, sizeof(node), "pci.%u.%u.%u", slot->bus, slot->slot, slot->func);
	type = config_str(config_node(b->tree, node), "type");
	if (type == NULL)
		type = strncmp(name, "tap", 3) == 0 || strncmp(name, "vmnet", 5) == 0 ? "tap" : name;
	if (strcmp(type, "tap") == 0)
		return (bhyve_set(b, slot, "backend", "tap", &val->origin) == 0 ? bhyve_set(b, slot, "tap", name, &val->origin) : -1);
	if (strcmp(type, "slirp") == 0) {
		if (bhyve_set(b, slot, "backend", "slirp", &val->origin) != 0)
			return (-1);
		if (config_bool(config_node(b->tree, node), "open"))
			return (0);
		bhyve_tell(&val->origin, "slirp without 'open': the guest reaches this host's forwarded ports and nothing outside");
		return (bhyve_set(b, slot, "open", "false", &val->origin));
	}
	if (strcmp(type, "netgraph") == 0 || strncmp(name, "ngd", 3) == 0)
		return (vmm_fail(ENOTSUP, "netgraph is FreeBSD's; use a tap in a bridge of the host (tapN), or slirp"));
	if (strncmp(type, "netmap", 6) == 0 || strncmp(name, "vale", 4) == 0)
		return (vmm_fail(ENOTSUP, "netmap and vale switches are FreeBSD's; use a tap in a bridge of the host (tapN), or slirp"));
	return (vmm_fail(EINVAL, "there is no network '%.64s': tapN (an interface of the host) or slirp (without privileges)", name));
}

/* bhyve's option may come several times. */
static int
parse_net(struct bhyve *b, const struct bhyve_emulation *e, const char *node, char *text, int n)
{
	char *forwards = NULL, *joined, *item;
	size_t len = 0;
	int r = 0;

	if (text == NULL)
		return (vmm_fail(EINVAL, "it is not said which network it is on: %s,tapN or %s,slirp", e->name, e->name));
	item = strsep(&text, ",");
	if (set_below(b, node, "backend", item, n) != 0)
		return (-1);
	while (r == 0 && (item = strsep(&text, ",")) != NULL) {
		if (strncmp(item, "hostfwd=", 8) != 0) {
			r = set_items(b, node, item, n);
			continue;
		}
		joined = realloc(forwards, len + strlen(item));
		if (joined == NULL) {
			r = vmm_fail(ENOMEM, "no memory");
			break;
		}
		forwards = joined;
		len += (size_t)sprintf(forwards + len, "%s%s", len != 0 ? ";" : "", item + 8);
	}
	if (r == 0 && forwards != NULL)
		r = set_below(b, node, "hostfwd", forwards, n);
	free(forwards);
	return (r);
}

#define	NET_RULES									\
	{ KEY_STRING("backend", NULL, "tapN or slirp"), .fn = backend },		\
	{ KEY_STRING("type", NULL, "tap or slirp, if the name does not say"), NOTHING },		\
	{ KEY_STRING("mac", NULL, "Ethernet address"), .to = "mac" },			\
	{ KEY_BOOL("open", false, "slirp: the guest reaches what this host reaches"), NOTHING },	\
	{ KEY_STRING("hostfwd", NULL, "slirp: proto:haddr:hport-gaddr:gport;..."), .to = "hostfwd" },	\
	{ KEY_STRING("path", NULL, "netgraph"), .refuse = true, .say = NETGRAPH },	\
	{ KEY_STRING("peerhook", NULL, "netgraph"), .refuse = true, .say = NETGRAPH },	\
	{ KEY_STRING("socket", NULL, "netgraph"), .refuse = true, .say = NETGRAPH },	\
	{ KEY_STRING("hook", NULL, "netgraph"), .refuse = true, .say = NETGRAPH }
#define	NETGRAPH	"netgraph is FreeBSD's; use a tap in a bridge of the host (tapN), or slirp"

static const struct bhyve_rule net_rules[] = {
	NET_RULES,
	{ KEY_STRING("mtu", NULL, "largest IP packet"), .to = "mtu" },
};

static const struct bhyve_rule e1000_rules[] = {
	NET_RULES,
};

/* Others */

/* "share=/path[,ro]" */
static int
parse_9p(struct bhyve *b, const struct bhyve_emulation *e, const char *node, char *text, int n)
{
	char *share = strsep(&text, ","), *path = share != NULL ? strchr(share, '=') : NULL;

	if (path == NULL)
		return (vmm_fail(EINVAL, "it is not said what is shared: virtio-9p,NAME=/FOLDER"));
	*path++ = '\0';
	if (set_below(b, node, "sharename", share, n) != 0 || set_below(b, node, "path", path, n) != 0)
		return (-1);
	return (text != NULL ? set_items(b, node, text, n) : 0);
}

static const struct bhyve_rule p9_rules[] = {
	{ KEY_STRING("sharename", NULL, "its name for the guest"), .to = "sharename" },
	{ KEY_PATH("path", NULL, "the host's folder"), .to = "path" },
	{ KEY_BOOL("ro", false, "refuse writes"), .to = "ro" },
};

/* "name=/path", each a port. */
static int
parse_console(struct bhyve *b, const struct bhyve_emulation *e, const char *node, char *text, int n)
{
	char port[CONFIG_NAME_MAX + 1], *item, *path;
	int ports = 0;

	while ((item = strsep(&text, ",")) != NULL) {
		path = strchr(item, '=');
		if (path == NULL)
			return (vmm_fail(EINVAL, "'%.64s' is not a port such as port1=/dev/pts/5", item));
		*path++ = '\0';
		(void)snprintf(port, sizeof(port), "%s.port.%d", node, ports++);
		if (set_below(b, port, "name", item, n) != 0 || set_below(b, port, "path", path, n) != 0)
			return (-1);
	}
	return (0);
}

/* hyve's has one end, and that is no socket. */
static int
console_path(struct bhyve *b, const struct bhyve_slot *slot, const char *key, const struct config_value *val)
{
	struct stat st;

	if (strcmp(key, "port.0.path") != 0)
		return (vmm_fail(ENOTSUP, "hyve's virtio console has one port; use another slot for another one"));
	if (strcmp(val->text, "stdio") != 0 && (stat(val->text, &st) != 0 || S_ISSOCK(st.st_mode)))
		return (vmm_fail(ENOTSUP, "hyve makes no socket for a virtio console; name a terminal, a FIFO that is there, or stdio, not '%s'",
		    val->text));
	return (bhyve_set(b, slot, "path", val->text, &val->origin));
}

static const struct bhyve_rule console_rules[] = {
	{ KEY_STRING("name", NULL, "name of the port"), .say = "the name of a console's port is not told to the guest" },
	{ KEY_PATH("path", NULL, "the host's end"), .fn = console_path },
};

static const char identity[] = "the machine's bridges are Intel's of a Q35, whatever is asked for";

static const struct bhyve_rule bridge_rules[] = {
	{ KEY_STRING("pcireg.vendor", NULL, "vendor"), .say = identity }, { KEY_STRING("pcireg.device", NULL, "device"), .say = identity },
	{ KEY_STRING("vendor", NULL, "vendor"), .say = identity }, { KEY_STRING("devid", NULL, "device"), .say = identity },
	{ KEY_STRING("pcireg.revid", NULL, "revision"), .say = identity },
	{ KEY_STRING("pcireg.subvendor", NULL, "vendor of the board"), .say = identity },
	{ KEY_STRING("pcireg.subdevice", NULL, "board"), .say = identity },
};

/* A device of the host by its address; numbers of drivers, ppt0, are FreeBSD's. */
static int
ppt_device(struct bhyve *b, const struct bhyve_slot *slot, const char *key, const struct config_value *val)
{
	if (strncmp(val->text, "ppt", 3) == 0)
		return (vmm_fail(EINVAL, "'%.32s': Linux does not number such devices; say where it is, 3/0/0 (lspci lists them)", val->text));
	return (bhyve_set(b, slot, key, val->text, &val->origin));
}

static const struct bhyve_rule passthru_rules[] = {
	{ KEY_STRING("pptdev", NULL, "the host's device, bus/slot/function"), .fn = ppt_device },
	{ KEY_INT("bus", -1, -1, 255, "its bus"), .to = "bus" }, { KEY_INT("slot", -1, -1, 31, "its slot"), .to = "slot" },
	{ KEY_INT("func", -1, -1, 7, "its function"), .to = "func" },
	{ KEY_PATH("rom", NULL, "option ROM"), .to = "rom" },
	{ KEY_INT("bootindex", -1, -1, 255, "place in the order of booting"), .say = "firmware decides when to boot from a device of the host" },
};

/* What is left out with the device has nothing said about itself. */
static const struct bhyve_rule fbuf_rules[] = {
	{ KEY_STRING("rfb", NULL, "address"), NOTHING }, { KEY_STRING("tcp", NULL, "address"), NOTHING }, { KEY_STRING("unix", NULL, "socket"), NOTHING },
	{ KEY_STRING("vga", NULL, "io, on or off"), NOTHING }, { KEY_STRING("w", NULL, "width"), NOTHING }, { KEY_STRING("h", NULL, "height"), NOTHING },
	{ KEY_BOOL("wait", false, "start when someone looks"), NOTHING }, { KEY_STRING("password", NULL, "password"), NOTHING },
};
static const struct bhyve_rule hda_rules[] = {
	{ KEY_STRING("play", NULL, "output"), NOTHING }, { KEY_STRING("rec", NULL, "input"), NOTHING },
};
static const struct bhyve_rule xhci_rules[] = { { KEY_STRING("device", NULL, "tablet"), NOTHING } };
static const struct bhyve_rule input_rules[] = { { KEY_STRING("path", NULL, "the host's device"), NOTHING } };

static int
parse_fbuf(struct bhyve *b, const struct bhyve_emulation *e, const char *node, char *text, int n)
{
	/* "[IP:]port" alone is in old command lines, before the items. */
	if (text != NULL && *text != '\0' && strncmp(text, "unix:", 5) != 0 && text[strcspn(text, "=,")] != '=' &&
	    strcmp(text, "wait") != 0 && strncmp(text, "wait,", 5) != 0)
		return (set_below(b, node, "rfb", strsep(&text, ","), n) == 0 && text != NULL ? set_items(b, node, text, n) : 0);
	if (text != NULL && strncmp(text, "unix:", 5) == 0)
		return (set_below(b, node, "unix", strsep(&text, ",") + 5, n) == 0 && text != NULL ? set_items(b, node, text, n) : 0);
	return (text != NULL ? set_items(b, node, text, n) : 0);
}

static int
parse_xhci(struct bhyve *b, const struct bhyve_emulation *e, const char *node, char *text, int n)
{
	char key[CONFIG_NAME_MAX + 1], *item;
	unsigned slot = 0;

	while ((item = strsep(&text, ",")) != NULL) {
		(void)snprintf(key, sizeof(key), "slot.%u.device", ++slot);
		if (set_below(b, node, key, item, n) != 0)
			return (-1);
	}
	return (0);
}

/* The device is refused, whatever is behind its name. */
static int
parse_nothing(struct bhyve *b, const struct bhyve_emulation *e, const char *node, char *text, int n)
{
	return (vmm_fail(ENOTSUP, "%s: %s", e->name, e->say));
}

#define	DISK_HELP	"PATH[,nocache][,sync][,ro][,nodelete][,sectorsize=N][,bootindex=N]"

static const struct bhyve_emulation emulations[] = {
	{ "ahci", BHYVE_DEVICE, "ahci", .help = "[hd:|cd:]PATH[,ITEM]...  several disks and CD drives", .rules = ahci_rules,
	    .nrules = sizeof(ahci_rules) / sizeof(ahci_rules[0]), .units = AHCI_PORTS, .parse = parse_ahci },
	{ "ahci-cd", BHYVE_DEVICE, "ahci", .help = "PATH  a CD drive", .rules = ahci_rules,
	    .nrules = sizeof(ahci_rules) / sizeof(ahci_rules[0]), .units = AHCI_PORTS, .parse = parse_ahci },
	{ "ahci-hd", BHYVE_DEVICE, "ahci", .help = DISK_HELP "[,ser=][,rev=][,model=][,nmrr=N]", .rules = ahci_rules,
	    .nrules = sizeof(ahci_rules) / sizeof(ahci_rules[0]), .units = AHCI_PORTS, .parse = parse_ahci },
	{ "amd_hostbridge", BHYVE_MACHINE, NULL, .say = "the machine has its own host bridge, Intel's, at 0:0", .rules = bridge_rules,
	    .nrules = sizeof(bridge_rules) / sizeof(bridge_rules[0]), .parse = parse_items },
	{ "e1000", BHYVE_DEVICE, "e1000", .help = "tapN|slirp[,mac=][,open][,hostfwd=]", .rules = e1000_rules,
	    .nrules = sizeof(e1000_rules) / sizeof(e1000_rules[0]), .parse = parse_net },
	{ "fbuf", BHYVE_IGNORED, NULL, .say = "hyve has no screen yet, and nobody is waited for", .rules = fbuf_rules,
	    .nrules = sizeof(fbuf_rules) / sizeof(fbuf_rules[0]), .parse = parse_fbuf },
	{ "hda", BHYVE_IGNORED, NULL, .say = "hyve has no sound", .rules = hda_rules, .nrules = sizeof(hda_rules) / sizeof(hda_rules[0]),
	    .parse = parse_items },
	{ "hostbridge", BHYVE_MACHINE, NULL, .say = "the machine has its host bridge at 0:0", .rules = bridge_rules,
	    .nrules = sizeof(bridge_rules) / sizeof(bridge_rules[0]), .parse = parse_items },
	{ "lpc", BHYVE_MACHINE, NULL, .say = "the machine has its LPC bridge at 0:31", .slot = 31, .rules = bridge_rules,
	    .nrules = sizeof(bridge_rules) / sizeof(bridge_rules[0]), .parse = parse_items },
	{ "nvme", BHYVE_DEVICE, "nvme", .help = DISK_HELP "[,maxq=][,qsz=][,ioslots=][,sectsz=][,ser=][,eui64=][,dsm=]", .rules = nvme_rules,
	    .nrules = sizeof(nvme_rules) / sizeof(nvme_rules[0]), .parse = parse_items, .first = "path" },
	{ "passthru", BHYVE_DEVICE, "passthru", .help = "BUS/SLOT/FUNCTION|pciBUS:SLOT:FUNCTION[,rom=PATH]  a device of the host, bound to vfio-pci",
	    .rules = passthru_rules, .nrules = sizeof(passthru_rules) / sizeof(passthru_rules[0]), .parse = parse_items, .first = "pptdev" },
	{ "uart", BHYVE_REFUSED, NULL, .say = "hyve has no serial ports on PCI; use -l com1,stdio", .parse = parse_nothing },
	{ "virtio-9p", BHYVE_DEVICE, "virtio-9p", .help = "NAME=/FOLDER[,ro]", .rules = p9_rules,
	    .nrules = sizeof(p9_rules) / sizeof(p9_rules[0]), .parse = parse_9p },
	{ "virtio-blk", BHYVE_DEVICE, "virtio-blk", .help = DISK_HELP "[,ser=]", .rules = blk_rules,
	    .nrules = sizeof(blk_rules) / sizeof(blk_rules[0]), .parse = parse_items, .first = "path" },
	{ "virtio-console", BHYVE_DEVICE, "virtio-console", .help = "NAME=PATH  a terminal, a FIFO or stdio", .rules = console_rules,
	    .nrules = sizeof(console_rules) / sizeof(console_rules[0]), .units = CONSOLE_PORTS, .parse = parse_console },
	{ "virtio-input", BHYVE_IGNORED, NULL, .say = "hyve hands no input devices to guests", .rules = input_rules,
	    .nrules = sizeof(input_rules) / sizeof(input_rules[0]), .parse = parse_items, .first = "path" },
	{ "virtio-net", BHYVE_DEVICE, "virtio-net", .help = "tapN|slirp[,mac=][,mtu=][,open][,hostfwd=]", .rules = net_rules,
	    .nrules = sizeof(net_rules) / sizeof(net_rules[0]), .parse = parse_net },
	{ "virtio-rnd", BHYVE_DEVICE, "virtio-rnd", .help = "", .parse = parse_items },
	{ "virtio-scsi", BHYVE_REFUSED, NULL, .say = "hyve has no SCSI controller, and FreeBSD's CTL is not on Linux; use virtio-blk or nvme",
	    .parse = parse_nothing },
	{ "xhci", BHYVE_IGNORED, NULL, .say = "hyve has no USB; the PC has a PS/2 keyboard and mouse", .rules = xhci_rules,
	    .nrules = sizeof(xhci_rules) / sizeof(xhci_rules[0]), .units = 8, .parse = parse_xhci },
};

#define	NEMULATIONS	(sizeof(emulations) / sizeof(emulations[0]))

/* The keys of an emulation, made when they are first asked for, and its rules' number: names below units are made too. */
static struct config_keys tables[NEMULATIONS];

const struct bhyve_emulation *
bhyve_emulation_at(unsigned i)
{
	return (i < NEMULATIONS ? &emulations[i] : NULL);
}

const struct bhyve_emulation *
bhyve_emulation_find(const char *name)
{
	for (unsigned i = 0; i < NEMULATIONS; i++) {
		if (strcmp(emulations[i].name, name) == 0)
			return (&emulations[i]);
	}
	return (NULL);
}

static unsigned
nruled(const struct bhyve_emulation *e)
{
	return (e->nrules * (e->units != 0 ? e->units : 1));
}

/* The rules' keys, then those of hyve's class that have another name. */
static int
make_table(const struct bhyve_emulation *e, struct config_keys *table)
{
	const struct device_class *cls = e->device != NULL ? device_class_find(e->device) : NULL;
	struct config_key *keys = calloc(nruled(e) + (cls != NULL ? cls->keys.nkeys : 0) + 1, sizeof(*keys));
	unsigned n = 0, i;
	/* USB counts from 1. */
	const char *unit = strcmp(e->name, "xhci") == 0 ? "slot" : "port";
	char *name;

	if (keys == NULL)
		return (-1);
	for (unsigned u = 0; u < (e->units != 0 ? e->units : 1); u++) {
		for (i = 0; i < e->nrules; i++) {
			keys[n] = e->rules[i].key;
			if (e->units != 0) {
				if (asprintf(&name, "%s.%u.%s", unit, u + (unit[0] == 's'), keys[n].name) < 0)
					return (-1);
				keys[n].name = name;
			}
			n++;
		}
	}
	for (unsigned k = 0; cls != NULL && k < cls->keys.nkeys; k++) {
		for (i = 0; i < nruled(e) && strcmp(keys[i].name, cls->keys.key[k].name) != 0; i++)
			;
		if (i == nruled(e)) {
			keys[n] = cls->keys.key[k];
			/* It may be made out of bhyve's. */
			if (keys[n].def == config_required)
				keys[n].def = NULL;
			n++;
		}
	}
	*table = (struct config_keys){ keys, n };
	return (0);
}

static const char *
device_name(const void *arg, size_t i)
{
	return (i < NEMULATIONS ? emulations[i].name : device_class_at((unsigned)(i - NEMULATIONS))->name);
}

const struct config_keys *
bhyve_device_keys(const char *name)
{
	const struct bhyve_emulation *e = bhyve_emulation_find(name);
	const struct device_class *cls;
	struct config_keys *table;
	const char *near;
	size_t n = NEMULATIONS;

	if (e == NULL) {
		for (unsigned i = 0; (cls = device_class_at(i)) != NULL; i++, n++) {
			if (strcmp(cls->name, name) == 0 && (cls->on & (DEVICE_ON_PCI | DEVICE_ON_VIRTIO)) != 0)
				return (&cls->keys);
		}
		near = config_nearest(name, n, device_name, NULL);
		if (near == NULL)
			return (vmm_fail_null(ENOENT, "unknown device '%.64s'; '-s help' lists them", name));
		return (vmm_fail_null(ENOENT, "unknown device '%.64s'; did you mean '%s'?", name, near));
	}
	table = &tables[e - emulations];
	if (table->key == NULL && make_table(e, table) != 0)
		return (vmm_fail_null(ENOMEM, "no memory"));
	return (table);
}

const struct bhyve_rule *
bhyve_device_rule(const struct bhyve_emulation *e, const struct config_key *key)
{
	const struct config_keys *table = &tables[e - emulations];
	size_t i = (size_t)(key - table->key);

	return (table->key != NULL && key >= table->key && i < nruled(e) ? &e->rules[i % e->nrules] : NULL);
}
