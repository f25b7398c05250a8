"""A small file of every format, told by the reader it belongs to: what the contract tests run over."""

from __future__ import annotations

from streamer.readers.envelope import EnvelopeReader
from streamer.readers.generic import GenericReader
from streamer.readers.online_retail import OnlineRetailReader
from streamer.readers.rees46 import Rees46Reader
from streamer.readers.retailrocket import RetailRocketReader
from streamer.readers.sessions import SessionReader
from streamer.readers.taobao import HeaderlessTaobaoReader, TaobaoReader

SAMPLES = {
    EnvelopeReader: (
        '{"specversion":"1.0","id":"a","source":"shop","type":"view","time":"2024-05-01T10:00:00.250Z","subject":"u1",'
        '"data":{"items":[{"id":"i1","price":9.5,"quantity":2,"category":"shoes","brand":"aqua","title":"Pegasus"},'
        '{"id":"i3"}],"session":"s1"}}\n'
        '{"type":"search","time":"2024-05-01T10:00:01Z","subject":"u1","data":{"query":"trail running"}}\n'
        '{"event":"Product Viewed","userId":"u2","messageId":"m1","timestamp":"2024-05-01T10:00:02Z",'
        '"properties":{"product_id":"i2"}}\n'
        '{"id":"p","source":"shop","type":"preferences","time":"2024-05-01T10:00:03Z","subject":"u1",'
        '"data":{"preferences":{"consent":true,"channels":["push"],"quiet_hours":["22:00","07:30"],"time_zone":"UTC"}}}\n'
    ),
    Rees46Reader: (
        "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n"
        "2019-10-01 00:00:00 UTC,view,44600062,2103807459595387724,,shiseido,35.79,541312140,72d76fde\n"
        "2019-10-01 00:00:00 UTC,view,3900821,2053013552,appliances.water_heater,aqua,33.20,554748717,9333dfbd\n"
        "2019-10-01 00:00:04 UTC,cart,3900821,2053013552,appliances.water_heater,aqua,33.20,554748717,9333dfbd\n"
    ),
    RetailRocketReader: (
        "timestamp,visitorid,event,itemid,transactionid\n"
        "1433221332117,257597,view,355908,\n"
        "1433221999827,158090,addtocart,10572,\n"
        "1433222276276,599528,transaction,356475,4000\n"
    ),
    TaobaoReader: (
        "user_id,item_id,category_id,behavior,timestamp\n"
        "543462,1715,1464116,pv,1511658000\n"
        "662867,2244074,1575622,fav,1511658001\n"
        "561558,3611281,965809,buy,1511658002\n"
    ),
    HeaderlessTaobaoReader: (
        "543462,1715,1464116,pv,1511658000\n"
        "662867,2244074,1575622,cart,1511658001\n"
        "561558,3611281,965809,buy,1511658002\n"
    ),
    OnlineRetailReader: (
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
        '536365,85123A,"HOLDER, WHITE",6,2010-12-01 08:26:00,2.55,17850,United Kingdom\n'
        "536365,71053,WHITE METAL LANTERN,6,2010-12-01 08:26:00,3.39,17850,United Kingdom\n"
        "536367,84879,BIRD ORNAMENT,32,2010-12-01 08:34:00,1.69,13047,United Kingdom\n"
    ),
    SessionReader: "session_id,pos,item_id\n20000000,0,1\n20000000,1,2\n20000001,0,3\n",
    GenericReader: (
        "time,user,type,item,query,category,price,quantity,title,brand,session\n"
        "2024-05-01T10:00:00Z,u1,view,i1,,shoes,9.5,1,Pegasus,aqua,s1\n"
        "2024-05-01T10:00:05Z,u1,search,,trail running,,,,,,s1\n"
        "2024-05-01T10:00:09Z,u1,purchase,i2,,shoes,19,2,,,s1\n"
    ),
}
"""Reader → text. Rows are in time order and none is bad."""

EVENTS = {OnlineRetailReader: 2, EnvelopeReader: 4}
"""How many events a sample has, where it is not three."""
