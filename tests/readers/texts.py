"""Texts in many languages, written for these tests, with the legacy encodings in which each was usual."""

TEXTS = {
    "simplified": (
        "你好，世界",
        "手机号18888888888",
        "联系人：张三，电话 13800138000",
        "甲方：北京某某科技有限公司",
        "订单编号A20231001，金额 299.00 元，请在三日内付款。",
        "收货地址：浙江省杭州市西湖区文三路100号，请于工作日送达，谢谢。\r\n邮箱：zhang@example.com\r\n",
        "列车在清晨六点驶出车站，窗外的稻田还笼着薄雾。老人把保温杯放在小桌上，从布袋里取出两个煮鸡蛋，递给对面的年轻人。"
        * 2,
    ),
    "traditional": (
        "您好，世界",
        "聯絡電話：0912345678",
        "臺北市信義區市府路一號",
        "訂單編號：A2023，金額新臺幣三百元整",
        "再次感謝您的來信，我們會盡快處理並回覆。",
        "火車在清晨六點駛出車站，窗外的稻田還籠著薄霧。老人把保溫杯放在小桌上，從布袋裡取出兩個水煮蛋，遞給對面的年輕人。"
        * 2,
    ),
    "japanese": (
        "こんにちは、世界",
        "お電話番号：03-1234-5678",
        "ご注文ありがとうございます。商品は明日発送いたします。",
        "朝六時に列車は駅を出た。窓の外の田んぼにはまだ霧が残っている。" * 3,
    ),
    "korean": (
        "안녕하세요, 여러분",
        "서울특별시 강남구 테헤란로 12",
        "주문해 주셔서 감사합니다. 상품은 내일 발송됩니다.",
    ),
    "russian": (
        "Привет, мир",
        "Заказ № 123 на имя Иванова",
        "ДОГОВОР ПОСТАВКИ",
        "Поезд вышел со станции в шесть утра, над полями ещё стоял туман. " * 3,
    ),
    "ukrainian": ("Привіт, як справи? Київ — столиця України",),
    "greek": ("Καλημέρα, κόσμε", "Η παραγγελία σας θα αποσταλεί αύριο το πρωί."),
    "french": (
        "Prénom : Hélène, ville : Orléans",
        "L'été dernier, nous sommes allés à la plage près de Nîmes, où les garçons jouaient.",
    ),
    "german": ("Grüße aus München", "Die Übertragung läuft über größere Städte, Straße für Straße."),
    "polish": ("Łódź, ulica Piękna 5", "Proszę o przesłanie zamówienia na następujący adres: Gdańsk, ul. Długa 7."),
    "czech": ("Děkujeme za vaši objednávku, příště přijďte dříve.",),
    "hungarian": ("Köszönjük a megrendelését, őszinte üdvözlettel: Győző",),
    "turkish": ("Siparişiniz için teşekkür ederiz, ağustos ayında görüşürüz.",),
    "hebrew": ("שלום עולם, ההזמנה שלך נשלחה היום",),
    "arabic": ("مرحبا بالعالم، تم إرسال طلبك اليوم",),
    "thai": ("สวัสดีชาวโลก คำสั่งซื้อของคุณ",),
    "english": ("The price is £20 — don’t wait", "It’s 25 °C ± 2 at most."),
}

USUAL = {
    "simplified": ("gb18030", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "hz"),
    "traditional": ("big5", "gb18030", "utf-8", "utf-16", "utf-16-le", "utf-16-be"),
    "japanese": ("shift_jis", "cp932", "euc_jp", "iso2022_jp", "utf-8", "utf-16-le"),
    "korean": ("euc_kr", "cp949", "utf-8", "utf-16-be"),
    "russian": ("cp1251", "koi8-r", "iso8859-5", "mac-cyrillic", "cp866", "utf-8", "utf-16-le"),
    "ukrainian": ("cp1251", "koi8-u"),
    "greek": ("cp1253", "iso8859-7"),
    "french": ("cp1252", "mac-roman", "cp850", "utf-8"),
    "german": ("cp1252", "mac-roman", "cp850"),
    "polish": ("cp1250", "iso8859-2"),
    "czech": ("cp1250", "iso8859-2"),
    "hungarian": ("cp1250", "iso8859-2"),
    "turkish": ("cp1254",),
    "hebrew": ("cp1255",),
    "arabic": ("cp1256", "iso8859-6"),
    "thai": ("cp874",),
    "english": ("cp1252", "utf-8"),
}
