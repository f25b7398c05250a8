"""UCI "Online Retail" (Chen 2015, doi 10.24432/C5BW33): the orders of a year, with titles and prices."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from streamer.readers import times
from streamer.readers.base import BadRow, checked_id, checked_session, make_line
from streamer.readers.table import TableReader

if TYPE_CHECKING:
    from streamer.core.events import Line


class OnlineRetailReader(TableReader):
    """Purchases. Rows without a customer, cancellations and rows without a positive quantity are left out."""

    format = "online-retail"
    says = "UCI Online Retail: InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
    required: ClassVar = ("InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "CustomerID")
    optional: ClassVar = ("Description", "UnitPrice")

    def _read(self, cells: tuple[str, ...]) -> tuple[int, str, str, Line | None, str, str]:
        invoice, item, quantity, date, customer, title, price = cells
        if not customer:
            raise BadRow("no user")
        if invoice[:1] in {"C", "c"}:
            raise BadRow("cancellation")
        line = make_line(item, price, quantity, "", "", title)
        user = checked_id(customer.strip().removesuffix(".0"), "user")  # spreadsheets turn the number into a decimal
        return times.from_american(date), user, "purchase", line, "", checked_session(invoice)
