"""Reading what a pipeline publishes: `Subscriber`."""

from pipeline.client.asynchronous import AsyncSubscriber
from pipeline.client.missed import TopicCount
from pipeline.client.statistics import GroupStatistics, SubscriberStatistics
from pipeline.client.subscriber import Subscriber

__all__ = ["AsyncSubscriber", "GroupStatistics", "Subscriber", "SubscriberStatistics", "TopicCount"]
