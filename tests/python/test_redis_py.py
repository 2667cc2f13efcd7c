"""redis-py against a running server: plain, asyncio, pipelines, transactions, RESP3 and as a cluster client.

Run by tests/clients.rs, which starts the server; by hand:

    SKERRY_PORT=6379 SKERRY_CLUSTER_PORT=7000 python tests/python/test_redis_py.py
"""

import asyncio
import os
import threading
import unittest

import redis
import redis.asyncio
from redis.cluster import RedisCluster

PORT = int(os.environ.get("SKERRY_PORT", "6379"))
CLUSTER_PORT = os.environ.get("SKERRY_CLUSTER_PORT")


class PlainClient(unittest.TestCase):
    """The ordinary client in RESP2; `RespThree` repeats everything in RESP3."""

    protocol = 2

    def setUp(self):
        self.client = redis.Redis(port=PORT, protocol=self.protocol, decode_responses=True)
        self.client.flushall()

    def tearDown(self):
        self.client.close()

    def test_strings(self):
        client = self.client
        self.assertTrue(client.set("key", "value", ex=100))
        self.assertEqual(client.get("key"), "value")
        self.assertIsNone(client.get("none"))
        self.assertIsNone(client.set("key", "other", nx=True))
        self.assertEqual(client.set("key", "other", xx=True, get=True), "value")
        self.assertEqual(client.getex("key", persist=True), "other")
        self.assertEqual(client.append("key", "!"), 6)
        self.assertEqual(client.getrange("key", 0, 2), "oth")
        self.assertEqual(client.incrby("number", 7), 7)
        self.assertEqual(client.incrbyfloat("number", 0.5), 7.5)
        self.assertTrue(client.mset({"a": 1, "b": 2, "c": 3}))
        self.assertEqual(client.mget("a", "none", "c"), ["1", None, "3"])
        self.assertFalse(client.msetnx({"a": 1, "d": 1}))
        self.assertEqual(client.delete("a", "b", "none"), 2)
        self.assertEqual(client.lcs("key", "key", len=True), 6)
        with self.assertRaises(redis.ResponseError):
            client.incr("key")

    def test_keys(self):
        client = self.client
        client.mset({f"key:{index}": index for index in range(500)})
        self.assertEqual(client.dbsize(), 500)
        self.assertEqual(set(client.scan_iter("key:1*", count=20)), set(client.keys("key:1*")))
        self.assertEqual(len(set(client.scan_iter())), 500)
        self.assertTrue(client.rename("key:0", "moved"))
        self.assertTrue(client.copy("moved", "copied"))
        self.assertTrue(client.expire("moved", 100))
        self.assertIn(client.ttl("moved"), (99, 100))
        self.assertTrue(client.persist("moved"))
        self.assertEqual(client.ttl("moved"), -1)
        self.assertEqual(client.type("moved"), "string")
        self.assertEqual(client.object("encoding", "moved"), "int")
        self.assertEqual(client.exists("moved", "copied", "key:0"), 2)

    def test_bitmaps(self):
        client = self.client
        self.assertEqual(client.setbit("bits", 7, 1), 0)
        self.assertEqual(client.bitcount("bits"), 1)
        self.assertEqual(client.bitpos("bits", 1), 7)
        client.set("other", b"\xff")
        self.assertEqual(client.bitop("XOR", "result", "bits", "other"), 1)
        self.assertEqual(client.bitfield("fields").set("u8", 0, 255).incrby("u8", 0, 2).execute(), [0, 1])

    def test_pipelines(self):
        for transaction in (False, True):
            with self.client.pipeline(transaction=transaction) as pipe:
                for index in range(1000):
                    pipe.incr(f"n:{index % 13}")
                pipe.mget("n:0", "n:12")
                replies = pipe.execute()
            self.assertEqual(len(replies), 1001)
        self.assertEqual(self.client.get("n:0"), "154")

    def test_watch_aborts(self):
        with self.client.pipeline() as pipe:
            pipe.watch("watched", "other")
            self.client.set("other", "changed")
            pipe.multi()
            pipe.set("watched", "mine")
            with self.assertRaises(redis.WatchError):
                pipe.execute()
        self.assertIsNone(self.client.get("watched"))

    def test_optimistic_increments(self):
        def increment(pipe):
            total = int(pipe.get("total") or 0)
            pipe.multi()
            pipe.set("total", total + 1)
            pipe.set("last", total)

        def work():
            client = redis.Redis(port=PORT, protocol=self.protocol)
            for _ in range(25):
                client.transaction(increment, "total", "last")
            client.close()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(self.client.get("total"), "100")

    def test_server_commands(self):
        client = self.client
        self.assertTrue(client.ping())
        self.assertEqual(client.echo("hello"), "hello")
        self.assertIn("redis_version", client.info())
        self.assertIn("maxmemory", client.config_get("maxmemory*"))
        self.assertTrue(client.config_set("maxmemory-policy", "noeviction"))
        self.assertTrue(client.client_setname("me"))
        self.assertEqual(client.client_getname(), "me")
        self.assertIn("me", [row["name"] for row in client.client_list()])
        self.assertGreater(client.command_count(), 50)
        self.assertIn("get", client.command())
        self.assertEqual(len(client.time()), 2)
        self.assertIsInstance(client.slowlog_get(), list)
        self.assertGreater(client.memory_usage("none") or 1, 0)

    def test_databases(self):
        other = redis.Redis(port=PORT, db=3, protocol=self.protocol, decode_responses=True)
        other.set("key", "there")
        self.assertIsNone(self.client.get("key"))
        self.assertTrue(self.client.swapdb(0, 3))
        self.assertEqual(self.client.get("key"), "there")
        self.assertTrue(self.client.move("key", 3))
        self.assertEqual(other.get("key"), "there")
        other.close()


class RespThree(PlainClient):
    """Everything again in RESP3."""

    protocol = 3


class AsyncClient(unittest.IsolatedAsyncioTestCase):
    """The asyncio client."""

    async def test_many_at_once(self):
        client = redis.asyncio.Redis(port=PORT, decode_responses=True)
        await client.flushall()
        await asyncio.gather(*(client.set(f"key:{index}", index) for index in range(80)))
        values = await asyncio.gather(*(client.get(f"key:{index}") for index in range(80)))
        self.assertEqual(values, [str(index) for index in range(80)])
        async with client.pipeline(transaction=True) as pipe:
            replies = await pipe.incr("a").incr("b").mget("a", "b").execute()
        self.assertEqual(replies, [1, 1, ["1", "1"]])
        await client.aclose()


@unittest.skipUnless(CLUSTER_PORT, "the shards have no ports of their own")
class ClusterClient(unittest.TestCase):
    """A cluster client, which sends each key straight to its shard."""

    def setUp(self):
        self.client = RedisCluster(host="127.0.0.1", port=int(CLUSTER_PORT or 0), decode_responses=True)
        self.plain = redis.Redis(port=PORT, decode_responses=True)
        self.plain.flushall()

    def tearDown(self):
        self.client.close()
        self.plain.close()

    def test_nodes_cover_all_slots(self):
        nodes = self.client.get_nodes()
        self.assertEqual(len(nodes), 4)
        self.assertEqual(len(self.client.nodes_manager.slots_cache), 16384)

    def test_keys_go_everywhere(self):
        for index in range(500):
            self.client.set(f"key:{index}", index)
        for index in range(500):
            self.assertEqual(self.client.get(f"key:{index}"), str(index))
        self.assertEqual(self.plain.dbsize(), 500)
        self.assertEqual(self.plain.mget("key:1", "key:2"), ["1", "2"])

    def test_tags_and_slots(self):
        self.assertTrue(self.client.mset({"{t}a": 1, "{t}b": 2}))
        self.assertEqual(self.client.mget("{t}a", "{t}b"), ["1", "2"])
        self.assertEqual(self.client.keyslot("{t}a"), self.plain.execute_command("CLUSTER KEYSLOT", "{t}a"))
        self.client.mset_nonatomic({f"n:{index}": index for index in range(50)})
        self.assertEqual(self.client.mget_nonatomic(*(f"n:{index}" for index in range(50))), [str(i) for i in range(50)])

    def test_pipelines(self):
        with self.client.pipeline() as pipe:
            for index in range(300):
                pipe.set(f"key:{index}", index)
                pipe.get(f"key:{index}")
            replies = pipe.execute()
        self.assertEqual(replies[1::2], [str(index) for index in range(300)])

    def test_foreign_keys_are_redirected(self):
        shard = redis.Redis(port=int(CLUSTER_PORT or 0), decode_responses=True)
        answers = []
        for index in range(40):
            try:
                shard.get(f"key:{index}")
                answers.append("here")
            except redis.ResponseError as error:
                answers.append(type(error).__name__)
        self.assertEqual({answer for answer in answers if answer != "here"}, {"MovedError"})
        self.assertIn("here", answers)
        with self.assertRaisesRegex(redis.ResponseError, "CROSSSLOT|same slot"):
            shard.mget("a", "b", "c")
        shard.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
