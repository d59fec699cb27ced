/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config_json.c - configuration as JSON: what becomes of its values, where errors are, and that it goes around.
 */
#include "config/json.h"
#include "device.h"
#include "error.h"
#include "machine/machine.h"
#include "test.h"

static struct config *
tree(void)
{
	struct config *cfg = config_new();

	CHECK(cfg != NULL && config_declare(cfg, "", &config_global_keys) == 0 && machine_declare(cfg) == 0);
	return (cfg);
}

static void
load(struct config *cfg, const char *text)
{
	CHECKF(config_load_text(cfg, "vm.json", text, strlen(text)) == 0, "%s: %s", text, vmm_errmsg());
}

static char *
dump(struct config *cfg)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	config_dump(cfg, f, 0);
	fclose(f);
	return (text);
}

static const char *
origin(struct config *cfg, const char *name, char *buf, size_t size)
{
	struct config_value val;

	CHECKF(config_get(config_node(cfg, ""), name, &val) == 0, "%s", vmm_errmsg());
	return (config_origin_text(&val.origin, buf, size));
}

TEST(objects_lists_numbers_and_booleans)
{
	struct config *cfg = tree();
	char *text;

	load(cfg, "\n\t{ \"cpus\": 4, \"stats\": true, \"memory\": { \"size\": \"2G\", \"wired\": false }, \"name\": \"w\\u00e9b\",\n"
	    "\"pci\": [ { \"4\": [ { \"path\": \"a.img\", \"device\": \"virtio-blk\", \"queues\": 2 } ] } ], \"smbios\": {} }\n");
	CHECK_EQ(config_check(cfg), 0);
	text = dump(cfg);
	CHECK_STR(text, "name=w\xc3\xa9" "b\nstats=true\ncpus=4\nmemory.size=2G\nmemory.wired=false\n"
	    "pci.0.4.0.device=virtio-blk\npci.0.4.0.path=a.img\npci.0.4.0.queues=2\n");
	free(text);
	config_free(cfg);
}

TEST(where_values_come_from)
{
	static const char text[] = "{\n"			/* 1 */
	    "  \"name\": \"a \\\" { [ : \\\\\",\n"
	    "  \"memory\": {\n"
	    "    \"size\"\n"
	    "      : \"1G\", \"wired\": true\n"		/* 5 */
	    "  }, \"cpus\": 2,\n"
	    "  \"seed\":\n"
	    "     -0,\n"
	    "  \"pci\": [ { \"4\": [ {\n"
	    "     \"device\": \"virtio-rnd\" } ] } ]\n"	/* 10 */
	    "}\n";
	struct config *cfg = tree();
	char buf[64];

	load(cfg, text);
	CHECK_STR(origin(cfg, "name", buf, sizeof(buf)), "vm.json:2");
	CHECK_STR(origin(cfg, "memory.size", buf, sizeof(buf)), "vm.json:5");
	CHECK_STR(origin(cfg, "memory.wired", buf, sizeof(buf)), "vm.json:5");
	CHECK_STR(origin(cfg, "cpus", buf, sizeof(buf)), "vm.json:6");
	CHECK_STR(origin(cfg, "seed", buf, sizeof(buf)), "vm.json:8");
	CHECK_STR(origin(cfg, "pci.0.4.0.device", buf, sizeof(buf)), "vm.json:10");
	config_free(cfg);
}

TEST(errors_have_file_line_key_and_rule)
{
	static const struct { const char *text, *words; } bad[] = {
		{ "{\n\"cpus\": 65 }", "vm.json:2: cpus: '65' is not an integer from 1 to 64" },
		{ "{\n\"cpus\": \"two\" }", "vm.json:2: cpus: 'two' is not an integer from 1 to 64" },
		{ "{ \"cpus\": true }", "vm.json:1: cpus: 'true' is not an integer from 1 to 64" },
		{ "{ \"cpus\": 1.5 }", "vm.json:1: cpus: 1.5 is not an integer, and no key has other numbers" },
		{ "{ \"cpus\":\n null }", "vm.json:2: cpus: null is no value; leave the key out for its default" },
		{ "{ \"stats\": 2 }", "vm.json:1: stats: '2' is not true or false" },
		{ "{ \"memory\": {\n\"siez\": \"1G\" } }", "vm.json:2: unknown key 'memory.siez'; did you mean 'memory.size'?" },
		{ "{ \"memory\": \"1G\" }", "vm.json:1: unknown key 'memory'" },
		{ "{ \"cpus\": [ 1, 2 ] }", "vm.json:1: unknown key 'cpus.0'; did you mean 'cpus'?" },
		{ "{ \"accel\": \"kmv\" }", "vm.json:1: accel: 'kmv' is not one of auto, kvm, soft; did you mean 'kvm'?" },
		{ "{ \"a b\": 1 }", "vm.json:1: 'a b': a name has no spaces, and none are around the '='" },
		{ "{ \"\": 1 }", "vm.json:1: '' is not a configuration name" },
		{ "{ \"name\": \"a\\nb\" }", "vm.json:1: name: the value has a control character" },
		{ "{ \"memory.size\": \"1G\",\n \"memory\": { \"wired\": 1,\n\"size\": \"2G\" } }",
		    "vm.json:3: 'memory.size' was set before, at line 1" },
		{ "{ \"a\":{\"b\":{\"c\":{\"d\":{\"e\":{\"f\":{\"g\":{\"h\":{\"i\": 1 }}}}}}}}}",
		    "vm.json:1: 'a.b.c.d.e.f.g.h.i' is nested deeper than 8 names" },
		{ "{ \"cpus\": 1,\n \"cpus\": 2 }", "vm.json:2: no JSON: duplicate object key near '\"cpus\"'" },
		{ "{ \"cpus\": 1,\n", "vm.json:2: no JSON: string or '}' expected near end of file" },
		{ "{ \"cpus\": 1 }\nx", "vm.json:2: no JSON: end of file expected near 'x'" },
		{ "{ \"name\": \"\xff\" }", "vm.json:1: no JSON: unable to decode byte 0xff near '\"'" },
		{ "{ \"seed\": 99999999999999999999 }", "vm.json:1: no JSON: too big integer near '99999999999999999999'" },
	};
	char name[400], text[420];
	struct config *cfg;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cfg = tree();
		CHECKF(config_load_text(cfg, "vm.json", bad[i].text, strlen(bad[i].text)) == -1, "taken: %s", bad[i].text);
		CHECK_STR(vmm_errmsg(), bad[i].words);
		config_free(cfg);
	}
	cfg = tree();
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	(void)snprintf(text, sizeof(text), "{\n \"%s\": 1 }", name);
	CHECK_EQ(config_load_text(cfg, "vm.json", text, strlen(text)), -1);
	CHECK_HAS(vmm_errmsg(), "vm.json:2: the name 'nnnn");
	CHECK_HAS(vmm_errmsg(), "...' is longer than 127 bytes");
	/* A zero byte ends nothing. */
	CHECK_EQ(config_load_text(cfg, "vm.json", "{}\0{}", 5), -1);
	CHECK_HAS(vmm_errmsg(), "vm.json:1: no JSON: ");
	config_free(cfg);
}

TEST(a_later_source_wins_over_json_and_the_other_way_round)
{
	struct config *cfg = tree();

	load(cfg, "{ \"cpus\": 2 }");
	load(cfg, "cpus=3\n");
	CHECK_EQ(config_num(config_node(cfg, ""), "cpus"), 3);
	load(cfg, "{ \"cpus\": 4 }");
	CHECK_EQ(config_num(config_node(cfg, ""), "cpus"), 4);
	config_free(cfg);
}

TEST(printed_values_have_their_types)
{
	struct config *cfg = tree();
	json_t *json, *all;
	char *text;

	load(cfg, "cpus=0x2\nseed=7\nstats=Yes\nmemory.size=512\nname=%(uuid)\nuuid=00112233-4455-6677-8899-aabbccddeeff\n"
	    "pci.0.10.0.device=virtio-blk\npci.0.10.0.path=x\npci.0.10.0.ro=off\n");
	CHECK_EQ(config_check(cfg), 0);
	json = config_to_json(cfg, 0);
	CHECK(json != NULL);
	text = json_dumps(json, JSON_SORT_KEYS | JSON_COMPACT);
	CHECK_STR(text, "{\"cpus\":\"0x2\",\"memory\":{\"size\":\"512\"},\"name\":\"%(uuid)\","
	    "\"pci\":{\"0\":{\"10\":{\"0\":{\"device\":\"virtio-blk\",\"path\":\"x\",\"ro\":false}}}},\"seed\":7,\"stats\":true,"
	    "\"uuid\":\"00112233-4455-6677-8899-aabbccddeeff\"}");
	free(text);
	all = config_to_json(cfg, CONFIG_DUMP_ALL);
	CHECK(all != NULL);
	CHECK_EQ(json_integer_value(json_object_get(all, "sockets")), 1);
	CHECK(json_is_false(json_object_get(json_object_get(all, "memory"), "wired")));
	json_decref(json);
	json_decref(all);
	config_free(cfg);
}

TEST(what_is_printed_loads_again)
{
	struct config *cfg = tree(), *again = tree();
	char *text, *first, *second;
	json_t *json;

	load(cfg, "cpus=2\npci.0.4.0.device=ahci\npci.0.4.0.port.0.path=a%%b\npci.0.4.0.port.1.type=cd\npc.hpet=off\n");
	CHECK_EQ(config_check(cfg), 0);
	/* With every default there is, leaves and groups of one name too. */
	json = config_to_json(cfg, CONFIG_DUMP_ALL);
	text = json_dumps(json, 0);
	CHECKF(config_load_text(again, "again", text, strlen(text)) == 0, "%s", vmm_errmsg());
	CHECKF(config_check(again) == 0, "%s", vmm_errmsg());
	free(text);
	json_decref(json);
	config_free(again);

	again = tree();
	json = config_to_json(cfg, 0);
	text = json_dumps(json, 0);
	CHECK_EQ(config_load_text(again, "again", text, strlen(text)), 0);
	first = dump(cfg);
	second = dump(again);
	CHECK_HAS(first, "pc.hpet=off\n");
	CHECK_HAS(second, "pc.hpet=false\n");
	CHECK_HAS(second, "pci.0.4.0.port.0.path=a%%b\n");
	free(first);
	free(second);
	free(text);
	json_decref(json);
	config_free(cfg);
	config_free(again);
}

TEST(json_has_no_other_bytes)
{
	struct config *cfg = tree();

	load(cfg, "name=caf\xe9\n");
	CHECK(config_to_json(cfg, 0) == NULL);
	CHECK_EQ(errno, EILSEQ);
	CHECK_STR(vmm_errmsg(), "name: the value is not UTF-8, as all of JSON is");
	config_free(cfg);
}

TEST_MAIN()
