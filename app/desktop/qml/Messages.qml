// The messages of the open conversation. While its end is in sight, it stays there.
import QtQuick
import QtQuick.Controls.Basic
import Olivine

Item {
    id: messages
    property alias list: list
    signal picture_opened(url picture)
    signal edited()  // or not: the keyboard is free again
    signal removal_wanted(int index)

    function to_end() {
        list.follow = true
        list.positionViewAtEnd()
    }
    function to_beginning() {
        list.follow = false
        list.positionViewAtBeginning()
    }
    function page(direction) {
        const most = Math.max(list.originY, list.originY + list.contentHeight - list.height)
        list.contentY = Math.max(list.originY, Math.min(most, list.contentY + direction * list.height * 0.9))
        list.follow = list.atYEnd
    }
    function edit_last() {
        const index = App.conversation.last_question()
        if (index < 0)
            return
        list.follow = false
        list.positionViewAtIndex(index, ListView.Contain)
        const item = list.itemAtIndex(index)
        if (item)
            item.edit()
    }

    ListView {
        id: list
        objectName: "messageList"
        anchors.fill: parent
        model: App.conversation
        property bool follow: true
        // What is being edited, and its text so far: it outlives the delegate, which may scroll away.
        property var edit_id: 0
        property string edit_text
        onEdit_idChanged: if (edit_id === 0) messages.edited()
        function keep_end() {
            if (follow)
                positionViewAtEnd()
        }
        clip: true
        boundsBehavior: Flickable.StopAtBounds
        cacheBuffer: Math.max(0, height)
        header: Item { height: Theme.spacing * 2 }
        footer: Item { height: Theme.spacing }
        activeFocusOnTab: true
        ScrollBar.vertical: Scroll {
            onPressedChanged: if (!pressed) list.follow = list.atYEnd
        }
        Accessible.role: Accessible.List
        Accessible.name: qsTr("Messages")
        onMovementStarted: follow = false
        onMovementEnded: follow = atYEnd
        onContentHeightChanged: Qt.callLater(keep_end)
        onHeightChanged: Qt.callLater(keep_end)
        onCountChanged: Qt.callLater(keep_end)
        Keys.onUpPressed: messages.page(-0.2)
        Keys.onDownPressed: messages.page(0.2)
        delegate: Message {
            width: list.width
            list: ListView.view
            onPicture_opened: picture => messages.picture_opened(picture)
            onRemoval_wanted: messages.removal_wanted(index)
        }
        Connections {
            target: App.conversation
            function onOpened() {
                list.edit_id = 0
                messages.to_end()
            }
            function onAsked() {
                list.edit_id = 0
                messages.to_end()
            }
            function onShow_message(index) {
                list.follow = false
                list.positionViewAtIndex(index, ListView.Center)
            }
        }
    }
    IconButton {
        objectName: "toEnd"
        visible: !list.atYEnd && list.contentHeight > list.height
        anchors { horizontalCenter: parent.horizontalCenter; bottom: parent.bottom; bottomMargin: Theme.spacing }
        name: qsTr("To the end")
        symbol: "down"
        hint: "Ctrl+End"
        background: Rectangle {
            radius: height / 2
            color: Theme.field
            border.color: Theme.border
        }
        onClicked: messages.to_end()
    }
}
