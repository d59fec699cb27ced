/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config.c - the configuration tree: what it takes, what it refuses, and the words in which it
 * does.
 */
#include "config/config.h"
#include "device.h"
#include "error.h"
#include "newvm.h"
#include "test.h"

static const char *const colors[] = { "red", "green", "blue", NULL };
static const struct config_key keys[] = {
	KEY_STRING("title", NULL, "a title"),
	KEY_PATH("image", NULL, "a file"),
	KEY_INT("count", 3, -5, 40, "how many"),
	KEY_BOOL("ro", false, "no writes"),
	KEY_SIZE("block", 512, 512, 65536, "block size"),
	KEY_MEMSIZE("ram", 256LL << 20, 1 << 20, 1LL << 40, "RAM"),
	KEY_ENUM("color", "green", colors, "a color"),
	KEY_MAC("mac", NULL, "an address"),
	KEY_CPUSET("pin", NULL, "host CPUs"),
	KEY_UUID("id", NULL, "an identity"),
	KEY_STRING("group.member", "x", "a member"),
};
static const struct config_keys table = { keys, sizeof(keys) / sizeof(keys[0]) };

static const struct config_origin arg1 = { CONFIG_FROM_ARGUMENT, NULL, 1 };
static const struct config_origin arg2 = { CONFIG_FROM_ARGUMENT, NULL, 2 };

static struct config *
tree(void)
{
	struct config *cfg = config_new();

	CHECK(cfg != NULL);
	CHECK_EQ(config_declare(cfg, "", &table), 0);
	return (cfg);
}

static struct config_value
get(struct config *cfg, const char *name)
{
	struct config_value val;

	CHECKF(config_get(config_node(cfg, ""), name, &val) == 0, "%s: %s", name, vmm_errmsg());
	return (val);
}

/* text is refused with exactly these words. */
static void
refuse(struct config *cfg, const char *text, int error, const char *words)
{
	errno = 0;
	CHECKF(config_set_text(cfg, text, &arg1) == -1, "'%s' was taken", text);
	CHECK_EQ(errno, error);
	CHECK_STR(vmm_errmsg(), words);
}

static void
take(struct config *cfg, const char *text)
{
	CHECKF(config_set_text(cfg, text, &arg1) == 0, "%s", vmm_errmsg());
}

TEST(defaults_hold_until_set)
{
	struct config *cfg = tree();
	struct config_node *root = config_node(cfg, "");

	CHECK_EQ(config_check(cfg), 0);
	CHECK_EQ(config_num(root, "count"), 3);
	CHECK_EQ(config_num(root, "block"), 512);
	CHECK_EQ(config_bool(root, "ro"), false);
	CHECK_STR(config_str(root, "color"), "green");
	CHECK_EQ(config_num(root, "color"), 1);
	CHECK_STR(config_str(root, "title"), NULL);
	CHECK(!config_is_set(root, "count"));
	CHECK_EQ(get(cfg, "count").origin.source, CONFIG_FROM_DEFAULT);
	take(cfg, "count=0x10");
	CHECK_EQ(config_num(root, "count"), 16);
	CHECK(config_is_set(root, "count"));
	CHECK_EQ(config_num(root, "ro"), 0);
	take(cfg, "ro=yes");
	CHECK_EQ(config_num(root, "ro"), 1);
	CHECK_EQ(config_bool(root, "ro"), true);
	take(cfg, "ro=no");
	config_unset(cfg, "count");
	CHECK_EQ(config_num(root, "count"), 3);
	config_free(cfg);
}

TEST(last_wins_and_remembers_its_origin)
{
	struct config *cfg = tree();
	struct config_value val;
	char buf[64];

	CHECK_EQ(config_load_text(cfg, "vm.conf", "# first\n\ncount=5\n", 17), 0);
	val = get(cfg, "count");
	CHECK_STR(config_origin_text(&val.origin, buf, sizeof(buf)), "vm.conf:3");
	CHECK_EQ(config_set(cfg, "count", "6", &arg2), 0);
	val = get(cfg, "count");
	CHECK_EQ(val.u.i, 6);
	CHECK_STR(config_origin_text(&val.origin, buf, sizeof(buf)), "argument 2");
	CHECK_EQ(config_load_text(cfg, "vm.conf", "count=7", 7), 0);
	CHECK_EQ(get(cfg, "count").u.i, 7);
	config_free(cfg);
}

TEST(integers)
{
	struct config *cfg = tree();

	take(cfg, "count=-5");
	CHECK_EQ(get(cfg, "count").u.i, -5);
	take(cfg, "count=010");
	CHECK_EQ(get(cfg, "count").u.i, 8);
	refuse(cfg, "count=41", EINVAL, "argument 1: count: '41' is not an integer from -5 to 40");
	refuse(cfg, "count=", EINVAL, "argument 1: count: '' is not an integer from -5 to 40");
	refuse(cfg, "count= 3", EINVAL, "argument 1: count: ' 3' is not an integer from -5 to 40");
	refuse(cfg, "count=3x", EINVAL, "argument 1: count: '3x' is not an integer from -5 to 40");
	refuse(cfg, "count=99999999999999999999", EINVAL,
	    "argument 1: count: '99999999999999999999' is not an integer from -5 to 40");
	CHECK_EQ(get(cfg, "count").u.i, 8);
	config_free(cfg);
}

TEST(booleans_as_bhyve_spells_them)
{
	static const char *const yes[] = { "true", "ON", "Yes", "1" }, *const no[] = { "FALSE", "off", "nO", "0" };
	struct config *cfg = tree();
	char text[32];

	for (int i = 0; i < 4; i++) {
		snprintf(text, sizeof(text), "ro=%s", yes[i]);
		take(cfg, text);
		CHECK_EQ(get(cfg, "ro").u.b, true);
		snprintf(text, sizeof(text), "ro=%s", no[i]);
		take(cfg, text);
		CHECK_EQ(get(cfg, "ro").u.b, false);
	}
	refuse(cfg, "ro=maybe", EINVAL, "argument 1: ro: 'maybe' is not true or false");
	refuse(cfg, "ro=2", EINVAL, "argument 1: ro: '2' is not true or false");
	config_free(cfg);
}

TEST(sizes)
{
	struct config *cfg = tree();

	take(cfg, "block=4k");
	CHECK_EQ(get(cfg, "block").u.size, 4096);
	take(cfg, "block=0x1000");
	CHECK_EQ(get(cfg, "block").u.size, 4096);
	refuse(cfg, "block=1M", EINVAL, "argument 1: block: '1M' is not a size from 512 to 64K");
	refuse(cfg, "block=4kb", EINVAL, "argument 1: block: '4kb' is not a size from 512 to 64K");
	refuse(cfg, "block=99999999999T", EINVAL, "argument 1: block: '99999999999T' is not a size from 512 to 64K");
	refuse(cfg, "block=-1", EINVAL, "argument 1: block: '-1' is not a size from 512 to 64K");
	take(cfg, "ram=512");
	CHECK_EQ(get(cfg, "ram").u.size, 512ULL << 20);
	take(cfg, "ram=3G");
	CHECK_EQ(get(cfg, "ram").u.size, 3ULL << 30);
	refuse(cfg, "ram=0", EINVAL,
	    "argument 1: ram: '0' is not a size from 1M to 1T (a bare number counts MiB)");
	refuse(cfg, "ram=lots", EINVAL,
	    "argument 1: ram: 'lots' is not a size from 1M to 1T (a bare number counts MiB)");
	config_free(cfg);
}

TEST(choices_suggest)
{
	struct config *cfg = tree();

	take(cfg, "color=blue");
	CHECK_EQ(get(cfg, "color").u.choice, 2);
	refuse(cfg, "color=gren", EINVAL,
	    "argument 1: color: 'gren' is not one of red, green, blue; did you mean 'green'?");
	refuse(cfg, "color=ultraviolet", EINVAL, "argument 1: color: 'ultraviolet' is not one of red, green, blue");
	config_free(cfg);
}

TEST(addresses_sets_and_identities)
{
	static const char *const bad_mac[] = { "mac=", "mac=02:00:5e:10:00", "mac=03:00:5e:10:00:01",
		"mac=00:00:00:00:00:00", "mac=02-00-5e-10-00-01", "mac=02:00:5e:10:00:0g", "mac=02:00:5e:10:00:011" };
	static const char *const bad_set[] = { "pin=", "pin=3-1", "pin=1,", "pin=,1", "pin=1--2", "pin=a", "pin=1024",
		"pin=99999999999999999999", "pin=0-99999999999" };
	static const char *const bad_id[] = { "id=", "id=12345678-1234-1234-1234-12345678901",
		"id=12345678123412341234123456789012abcd", "id=12345678-1234-1234-1234-12345678901x" };
	struct config *cfg = tree();
	struct config_value val;

	take(cfg, "mac=02:00:5E:10:00:0f");
	val = get(cfg, "mac");
	CHECK(memcmp(val.u.mac, "\x02\x00\x5e\x10\x00\x0f", 6) == 0);
	take(cfg, "pin=0-3,8,1023");
	val = get(cfg, "pin");
	CHECK_EQ(CPU_COUNT(&val.u.cpus), 6);
	CHECK(CPU_ISSET(8, &val.u.cpus) && CPU_ISSET(1023, &val.u.cpus) && !CPU_ISSET(4, &val.u.cpus));
	take(cfg, "id=00112233-4455-6677-8899-aabbccddeeff");
	val = get(cfg, "id");
	CHECK_EQ(val.u.uuid[0], 0x00);
	CHECK_EQ(val.u.uuid[15], 0xff);
	CHECK_EQ(val.u.uuid[8], 0x88);
	for (size_t i = 0; i < sizeof(bad_mac) / sizeof(bad_mac[0]); i++) {
		CHECK_EQ(config_set_text(cfg, bad_mac[i], &arg1), -1);
		CHECK_HAS(vmm_errmsg(), "is not a unicast MAC address");
	}
	for (size_t i = 0; i < sizeof(bad_set) / sizeof(bad_set[0]); i++) {
		CHECK_EQ(config_set_text(cfg, bad_set[i], &arg1), -1);
		CHECK_HAS(vmm_errmsg(), "is not a list of CPUs such as 0-3,8");
	}
	for (size_t i = 0; i < sizeof(bad_id) / sizeof(bad_id[0]); i++) {
		CHECK_EQ(config_set_text(cfg, bad_id[i], &arg1), -1);
		CHECK_HAS(vmm_errmsg(), "is not a UUID");
	}
	refuse(cfg, "image=", EINVAL, "argument 1: image: '' is not a path");
	config_free(cfg);
}

TEST(unknown_names_tell_the_nearest)
{
	struct config *cfg = tree();

	refuse(cfg, "cuont=1", ENOENT, "argument 1: unknown key 'cuont'; did you mean 'count'?");
	refuse(cfg, "group.membre=1", ENOENT, "argument 1: unknown key 'group.membre'; did you mean 'group.member'?");
	refuse(cfg, "completely.different=1", ENOENT, "argument 1: unknown key 'completely.different'");
	CHECK_EQ(config_load_text(cfg, "a.conf", "count=1\nblok=512\n", 17), -1);
	CHECK_STR(vmm_errmsg(), "a.conf:2: unknown key 'blok'; did you mean 'block'?");
	config_free(cfg);
}

TEST(malformed_names_and_lines)
{
	static const char *const bad[] = { ".count=1", "count.=1", "a..b=1", "=1", "co/unt=1", "c\xc3\xa4=1", "*=1",
		"a.b.c.d.e.f.g.h.i=1" };
	struct config *cfg = tree();
	char *longname = malloc(70000);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECKF(config_set_text(cfg, bad[i], &arg1) == -1, "'%s' was taken", bad[i]);
		CHECK_HAS(vmm_errmsg(), "is not a configuration name");
	}
	refuse(cfg, "count", EINVAL, "argument 1: 'count' is not of the form name=value");
	refuse(cfg, "count =1", EINVAL,
	    "argument 1: 'count ': a name has no spaces, and none are around the '='");
	refuse(cfg, "title=a\nb", EINVAL, "argument 1: title: the value has a control character");
	CHECK_EQ(config_load_text(cfg, "dos.conf", "count=1\r\n", 9), -1);
	CHECK_STR(vmm_errmsg(), "dos.conf:1: count: the value has a control character (a carriage return: lines end "
	    "with a newline only)");
	CHECK_EQ(config_load_text(cfg, "z.conf", "count=1\0\n", 9), -1);
	CHECK_STR(vmm_errmsg(), "z.conf:1: the line has a zero byte");
	memset(longname, 'a', 69999);
	longname[69999] = '\0';
	CHECK_EQ(config_set(cfg, longname, "1", &arg1), -1);
	CHECK_EQ(config_set_text(cfg, longname, &arg1), -1);
	longname[200] = '=';
	CHECK_EQ(config_set_text(cfg, longname, &arg1), -1);
	CHECK_EQ(errno, E2BIG);
	memcpy(longname, "title=", 6);
	CHECK_EQ(config_set_text(cfg, longname, &arg1), -1);
	CHECK_EQ(errno, E2BIG);
	free(longname);
	config_free(cfg);
}

TEST(only_leaves_have_values)
{
	struct config *cfg = tree();

	take(cfg, "group.member=1");
	refuse(cfg, "group=1", EISDIR, "argument 1: 'group' is a group of keys and has no value");
	refuse(cfg, "count.x=1", ENOENT, "argument 1: unknown key 'count.x'; did you mean 'count'?");
	take(cfg, "count=1");
	CHECK(config_node(cfg, "count") == NULL);
	CHECK_EQ(errno, EISDIR);
	config_free(cfg);
}

TEST(variables_expand)
{
	struct config *cfg = tree();
	struct config_node *root = config_node(cfg, "");

	take(cfg, "title=web");
	take(cfg, "image=/vm/%(title)/%(color)-100%%.img");
	take(cfg, "count=%(group.member)");
	take(cfg, "group.member=7");
	CHECK_EQ(config_check(cfg), 0);
	CHECK_STR(config_str(root, "image"), "/vm/web/green-100%.img");
	CHECK_EQ(config_num(root, "count"), 7);
	take(cfg, "group.member=seven");
	CHECK_EQ(config_check(cfg), -1);
	CHECK_STR(vmm_errmsg(), "argument 1: count: 'seven' is not an integer from -5 to 40");
	config_free(cfg);
}

TEST(variables_have_limits)
{
	static const struct { const char *value, *words; } bad[] = {
		{ "%(title)", "argument 1: title: variables refer to each other more than 16 deep" },
		{ "%(id)", "argument 1: title: %(id) is not set" },
		{ "%(nothing)", "argument 1: title: %(nothing) is not set" },
		{ "100%", "argument 1: title: '%': a '%' begins %(name), and %% stands for one" },
		{ "%(color", "argument 1: title: '%(color': a '%' begins %(name), and %% stands for one" },
		{ "%()", "argument 1: title: %() does not name a key" },
	};
	struct config *cfg = tree();
	char *big = malloc(60001);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK_EQ(config_set(cfg, "title", bad[i].value, &arg1), 0);
		CHECK_EQ(config_check(cfg), -1);
		CHECK_STR(vmm_errmsg(), bad[i].words);
	}
	/* Two variables that name each other, many times: a tree of expansions that nobody may walk. */
	CHECK_EQ(config_set(cfg, "title", "%(group.member)%(group.member)%(group.member)", &arg1), 0);
	CHECK_EQ(config_set(cfg, "group.member", "%(title)%(title)%(title)", &arg1), 0);
	CHECK_EQ(config_check(cfg), -1);
	CHECK_EQ(errno, ELOOP);
	/* A value that doubles beyond the limit. */
	memset(big, 'x', 40000);
	big[40000] = '\0';
	CHECK_EQ(config_set(cfg, "group.member", big, &arg1), 0);
	CHECK_EQ(config_set(cfg, "title", "%(group.member)%(group.member)", &arg1), 0);
	CHECK_EQ(config_check(cfg), -1);
	CHECK_EQ(errno, E2BIG);
	free(big);
	config_free(cfg);
}

static const struct config_key disk_keys[] = {
	KEY_PATH("path", REQUIRED, "the image"), KEY_BOOL("ro", false, "no writes"),
};
static const struct config_keys disk_table = { disk_keys, 2 };

static const struct config_keys *
lookup(const char *value)
{
	if (strcmp(value, "disk") == 0)
		return (&disk_table);
	return (vmm_fail_null(ENOENT, "unknown device '%s'; did you mean 'disk'?", value));
}

TEST(slots_take_their_keys_from_the_device)
{
	struct config *cfg = tree();
	struct config_node *node;

	CHECK_EQ(config_declare_slots(cfg, "pci.*.*.*", &device_selector, lookup), 0);
	/* Keys may come before the device. */
	take(cfg, "pci.0.3.0.path=/dev/zero");
	take(cfg, "pci.0.3.0.rx=1");
	CHECK_EQ(config_check(cfg), -1);
	CHECK_STR(vmm_errmsg(), "pci.0.3.0.device: required, but not set: which device is in the slot");
	take(cfg, "pci.0.3.0.device=dsik");
	CHECK_EQ(config_check(cfg), -1);
	CHECK_STR(vmm_errmsg(),
	    "argument 1: pci.0.3.0.device: unknown device 'dsik'; did you mean 'disk'?");
	take(cfg, "pci.0.3.0.device=disk");
	CHECK_EQ(config_check(cfg), -1);
	CHECK_STR(vmm_errmsg(), "argument 1: unknown key 'pci.0.3.0.rx'; did you mean 'pci.0.3.0.ro'?");
	config_unset(cfg, "pci.0.3.0.rx");
	CHECK_EQ(config_check(cfg), 0);
	node = config_node(cfg, "pci.0.3.0");
	CHECK_STR(config_str(node, "path"), "/dev/zero");
	CHECK_EQ(config_bool(node, "ro"), false);
	/* Now wrong keys are told at once. */
	refuse(cfg, "pci.0.3.0.pth=x", ENOENT,
	    "argument 1: unknown key 'pci.0.3.0.pth'; did you mean 'pci.0.3.0.path'?");
	take(cfg, "pci.0.4.0.device=disk");
	CHECK_EQ(config_check(cfg), -1);
	CHECK_STR(vmm_errmsg(), "pci.0.4.0.path: required, but not set: the image");
	CHECK_EQ(config_check_node(node), 0);
	config_free(cfg);
}

TEST(patterns_declare_for_every_node)
{
	struct config *cfg = tree();

	CHECK_EQ(config_declare(cfg, "port.*", &disk_table), 0);
	take(cfg, "port.0.path=a");
	take(cfg, "port.10.path=b");
	take(cfg, "port.2.path=c");
	refuse(cfg, "port.0.pth=x", ENOENT, "argument 1: unknown key 'port.0.pth'; did you mean 'port.0.path'?");
	CHECK_EQ(config_check(cfg), 0);
	CHECK_STR(config_str(config_node(cfg, "port.10"), "path"), "b");
	CHECK_EQ(config_declare(cfg, "a b", &disk_table), -1);
	CHECK_EQ(errno, EINVAL);
	config_free(cfg);
}

TEST(required_keys_of_a_plain_prefix)
{
	struct config *cfg = config_new();

	CHECK_EQ(config_declare(cfg, "boot", &disk_table), 0);
	CHECK_EQ(config_check(cfg), -1);
	CHECK_STR(vmm_errmsg(), "boot.path: required, but not set: the image");
	take(cfg, "boot.path=/x");
	CHECK_EQ(config_check(cfg), 0);
	config_free(cfg);
}

static char *
dump(struct config *cfg, unsigned flags)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	config_dump(cfg, f, flags);
	fclose(f);
	return (text);
}

TEST(dump_tells_origins_and_loads_again)
{
	struct config *cfg = tree(), *again = tree();
	char *text, *text2;

	CHECK_EQ(config_load_text(cfg, "vm.conf", "title=a title=with %% sign\n", 27), 0);
	take(cfg, "count=5");
	text = dump(cfg, CONFIG_DUMP_ALL | CONFIG_DUMP_ORIGIN);
	CHECK_HAS(text, "count=5                                 # argument 1\n");
	CHECK_HAS(text, "title=a title=with %% sign              # vm.conf:1\n");
	CHECK_HAS(text, "block=512                               # default\n");
	CHECK_HAS(text, "ram=256M                                # default\n");
	free(text);
	text = dump(cfg, 0);
	CHECK_STR(text, "title=a title=with %% sign\ncount=5\n");
	CHECK_EQ(config_load_text(again, "dump", text, strlen(text)), 0);
	text2 = dump(again, 0);
	CHECK_STR(text2, text);
	free(text);
	free(text2);
	config_free(cfg);
	config_free(again);
}

TEST(files)
{
	char path[] = "/tmp/test-config-XXXXXX";
	struct config *cfg = tree();
	int fd = mkstemp(path);
	char *big;

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, "# comment\n\ncount=9\nro=on", 24), 24);
	CHECK_EQ(config_load_file(cfg, path), 0);
	CHECK_EQ(get(cfg, "count").u.i, 9);
	CHECK_EQ(get(cfg, "ro").u.b, true);
	CHECK_EQ(get(cfg, "ro").origin.number, 4);
	big = calloc(1, 1 << 20);
	memset(big, '\n', 1 << 20);
	CHECK_EQ(write(fd, big, 1 << 20), 1 << 20);
	CHECK_EQ(config_load_file(cfg, path), -1);
	CHECK_EQ(errno, EFBIG);
	free(big);
	close(fd);
	unlink(path);
	CHECK_EQ(config_load_file(cfg, path), -1);
	CHECK_EQ(errno, ENOENT);
	CHECK_HAS(vmm_errmsg(), "cannot open '/tmp/test-config-");
	CHECK_EQ(config_load_file(cfg, "/"), -1);
	CHECK_EQ(errno, EISDIR);
	config_free(cfg);
}

TEST(distances)
{
	CHECK_EQ(config_distance("", ""), 0);
	CHECK_EQ(config_distance("abc", ""), 3);
	CHECK_EQ(config_distance("", "abc"), 3);
	CHECK_EQ(config_distance("memory", "memory"), 0);
	CHECK_EQ(config_distance("memroy", "memory"), 1);
	CHECK_EQ(config_distance("memry", "memory"), 1);
	CHECK_EQ(config_distance("mmemory", "memory"), 1);
	CHECK_EQ(config_distance("kitten", "sitting"), 3);
}

TEST(global_keys)
{
	struct config *cfg = config_new();
	struct config_node *root;

	CHECK_EQ(config_declare(cfg, "", &config_global_keys), 0);
	root = config_node(cfg, "");
	CHECK_EQ(config_check(cfg), 0);
	CHECK_EQ(config_num(root, "memory.size"), 256 << 20);
	CHECK_STR(config_str(root, "accel"), "auto");
	CHECK_STR(config_str(root, "name"), NULL);
	refuse(cfg, "memory.siez=1G", ENOENT, "argument 1: unknown key 'memory.siez'; did you mean 'memory.size'?");
	refuse(cfg, "cpus=65", EINVAL, "argument 1: cpus: '65' is not an integer from 1 to 64");
	refuse(cfg, "seed=-1", EINVAL, "argument 1: seed: '-1' is not an integer from 0");
	refuse(cfg, "accel=kmv", EINVAL,
	    "argument 1: accel: 'kmv' is not one of auto, kvm, soft; did you mean 'kvm'?");
	config_free(cfg);
}

TEST(topology_follows_bhyve)
{
	struct config *cfg = config_new();
	struct vmm_topology t;

	CHECK_EQ(config_declare(cfg, "", &config_global_keys), 0);
	CHECK_EQ(vmm_get_topology(cfg, &t), 0);
	CHECK_EQ(t.cpus, 1);
	take(cfg, "cpus=4");
	CHECK_EQ(vmm_get_topology(cfg, &t), 0);
	CHECK_EQ(t.cpus, 4);
	CHECK_EQ(t.sockets, 4);
	take(cfg, "cores=2");
	CHECK_EQ(vmm_get_topology(cfg, &t), -1);
	CHECK_STR(vmm_errmsg(), "cpus=4, but sockets * cores * threads is 2");
	take(cfg, "threads=2");
	CHECK_EQ(vmm_get_topology(cfg, &t), 0);
	CHECK_EQ(t.threads, 2);
	config_unset(cfg, "cpus");
	take(cfg, "sockets=2");
	CHECK_EQ(vmm_get_topology(cfg, &t), 0);
	CHECK_EQ(t.cpus, 8);
	take(cfg, "cores=64");
	CHECK_EQ(vmm_get_topology(cfg, &t), -1);
	CHECK_STR(vmm_errmsg(), "sockets * cores * threads is 256, more than 64");
	config_free(cfg);
}

TEST_MAIN()
